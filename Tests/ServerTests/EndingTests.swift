import Testing

@testable import Server

/// What wakes the main thread, and in which order. One test: the signals of a process are one.
@Suite(.serialized) struct EndingTests {
  @Test func signalsAreKeptUntilSomebodyWaits() {
    let ending = Ending()
    // Before anybody waits, and several: one reload, which sees the files as they are then.
    for _ in 0..<3 { Ending.hungUp() }
    #expect(ending.wait() == .reload)
    // While it reloads: another one.
    Ending.hungUp()
    #expect(ending.wait() == .reload)
    // A failure goes before, and the first of several is told.
    Ending.hungUp()
    ending.fail("the disk")
    ending.fail("what came of it")
    #expect(ending.wait() == .failure("the disk"))
    // For another one the reload is still to be done.
    #expect(Ending().wait() == .reload)
  }
}
