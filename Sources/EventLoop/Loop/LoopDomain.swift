/// The isolation domain of one loop: what is isolated to it runs on the loop's thread, and hops to it from
/// tasks of the same loop cost nothing.
public actor LoopDomain {
  private nonisolated(unsafe) unowned(unsafe) var loop: EventLoop?

  init() {}

  /// Called once, before the loop is shared.
  nonisolated func attach(_ loop: EventLoop) { self.loop = loop }

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    guard let loop else { preconditionFailure("a domain belongs to a loop") }
    return loop.asUnownedSerialExecutor()
  }
}
