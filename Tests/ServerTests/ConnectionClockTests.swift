internal import Testing

@testable import Server

@Suite struct ConnectionClockTests {
  private static let second: UInt64 = 1_000_000_000
  private let limits = ConnectionLimits()

  private func state(_ phase: ConnectionClock.Phase, began: UInt64 = 0) -> ConnectionClock.State {
    ConnectionClock.State(phase: phase, began: began * Self.second, received: began * Self.second)
  }

  private func look(_ state: ConnectionClock.State, at seconds: Double) -> ConnectionClock.Verdict {
    var clock = ConnectionClock()
    return clock.look(state, now: UInt64(seconds * 1e9), limits)
  }

  /// Phase, the last second that is waited for, and what comes at the end of it.
  @Test(
    arguments: [
      (.silent, 30, .closes(.silence)), (.idle, 600, .closes(.idleness)), (.head, 10, .refuses(.head)),
      (.body, 20, .refuses(.body)),
    ] as [(ConnectionClock.Phase, Double, ConnectionClock.Verdict)])
  func eachPhaseHasItsTime(_ phase: ConnectionClock.Phase, _ end: Double, _ verdict: ConnectionClock.Verdict)
  {
    let last = look(state(phase), at: end - 0.001)
    #expect(last == .waits(until: UInt64(end * 1e9)))
    #expect(look(state(phase), at: end) == verdict)
    #expect(look(state(phase), at: 1e6) == verdict)
  }

  @Test func itLooksAgainWithinTheTimeForAHead() {
    #expect(look(state(.idle), at: 5) == .waits(until: 15 * Self.second))
    #expect(look(state(.handling), at: 1e6) == .waits(until: 1_000_010 * Self.second))
  }

  /// Each time in turn is the shortest: what begins behind a look is over on time.
  @Test func noTimeIsOverUnseen() {
    for time in [
      \ConnectionLimits.firstRequestNanoseconds, \.headNanoseconds, \.bodyNanoseconds, \.bodyTotalNanoseconds,
      \.idleNanoseconds, \.stallNanoseconds,
    ] {
      var limits = limits
      limits[keyPath: time] = 2 * Self.second
      for phase in [ConnectionClock.Phase.silent, .idle, .head, .body, .handling] {
        var clock = ConnectionClock()
        guard case .waits(let until) = clock.look(state(phase), now: 0, limits) else {
          Issue.record("\(phase)")
          continue
        }
        #expect(until <= 2 * Self.second, "\(phase)")
      }
    }
  }

  @Test func aWindowOfThePaceEndsOnTime() {
    var clock = ConnectionClock()
    var reading = state(.handling)
    reading.queuedBytes = 1000
    var limits = limits
    limits.stallNanoseconds = 15 * Self.second
    #expect(clock.look(reading, now: 0, limits) == .waits(until: 10 * Self.second))
    reading.sent = 10 * Self.second
    reading.sentBytes = 1000
    #expect(clock.look(reading, now: 10 * Self.second, limits) == .waits(until: 15 * Self.second))
    #expect(clock.look(reading, now: 15 * Self.second, limits) == .cuts(.answerPace))
  }

  @Test func aBodyThatGoesOnAtAPaceHasTheWholeTime() {
    var body = state(.body)
    body.received = 119 * Self.second
    body.bodyBytes = 119 * 512
    #expect(look(body, at: 119.5) == .waits(until: 120 * Self.second))
    #expect(look(body, at: 120) == .refuses(.body))
  }

  @Test func aBodyThatCrawlsIsRefusedOnceTheFirstSecondsAreOver() {
    var body = state(.body)
    body.received = 20 * Self.second
    body.bodyBytes = 1024
    // 20 s, and 2 s for 1024 bytes.
    #expect(look(body, at: 21.9) == .waits(until: 22 * Self.second))
    #expect(look(body, at: 22) == .refuses(.bodyPace))
    var any = limits
    any.bodyBytesPerSecondMin = 0
    var clock = ConnectionClock()
    #expect(clock.look(body, now: 22 * Self.second, any) == .waits(until: 32 * Self.second))
  }

  @Test func bytesWithoutEndDontOverflow() {
    var body = state(.body)
    body.bodyBytes = .max
    #expect(look(body, at: 1) == .waits(until: 11 * Self.second))
  }

  @Test func whoTakesNothingIsCutWhateverThePhase() {
    for phase in [ConnectionClock.Phase.silent, .idle, .head, .body, .handling, .over] {
      var stalled = state(phase, began: 100)
      stalled.received = 100 * Self.second
      stalled.queuedBytes = 1
      stalled.sent = 100 * Self.second
      var clock = ConnectionClock()
      let last = clock.look(stalled, now: 105 * Self.second, limits)
      guard case .waits = last else {
        Issue.record("\(phase): \(last)")
        continue
      }
      stalled.began = 129 * Self.second
      stalled.received = 129 * Self.second
      #expect(clock.look(stalled, now: 130 * Self.second, limits) == .cuts(.stall))
    }
  }

  @Test func whatHasBeenAnsweredForGoodIsLetGo() {
    #expect(look(state(.over), at: 30) == .cuts(.stall))
  }

  /// A peer that takes `pace` bytes a second of what is queued: when is it cut?
  private func cut(pace: UInt64, isStrained: Bool = false) -> UInt64? {
    var clock = ConnectionClock()
    var reading = state(.handling)
    reading.queuedBytes = 1 << 24
    reading.isStrained = isStrained
    for now in stride(from: UInt64(0), through: 600, by: 5) {
      reading.sent = now * Self.second
      reading.sentBytes = now * pace
      if clock.look(reading, now: now * Self.second, limits) == .cuts(.answerPace) { return now }
    }
    return nil
  }

  @Test func whoTakesLittleIsCutAfterAWindow() {
    #expect(cut(pace: 0) == 30)
    #expect(cut(pace: 500) == 30)
    #expect(cut(pace: 512) == nil)
    #expect(cut(pace: 1 << 20) == nil)
  }

  @Test func underStrainThePaceIsThatOfSomebodyWhoReads() {
    #expect(cut(pace: 512, isStrained: true) == 10)
    #expect(cut(pace: 20_000, isStrained: true) == 10)
    #expect(cut(pace: 40_000, isStrained: true) == nil)
  }

  @Test func whoHasTakenAllBeginsAnew() {
    var clock = ConnectionClock()
    var reading = state(.handling)
    reading.queuedBytes = 1000
    for now in stride(from: UInt64(0), through: 600, by: 25) {
      reading.sent = now * Self.second
      #expect(clock.look(reading, now: now * Self.second, limits) != .cuts(.answerPace))
      // Between two looks all was taken, and more came.
      clock.drained()
    }
  }
}
