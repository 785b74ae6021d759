/// What a reader may see of contexts and locks. What it may not see is to look as if it weren't there.
/// Immutable, any thread: a policy that changes makes new ones.
public protocol Visibility: AnyObject, Sendable {
  /// Whether every context is seen: then nobody needs to ask for each.
  var seesAllContexts: Bool { get }
  var seesAllLocks: Bool { get }
  /// Each context that is seen begins with one of these; others may, too. `[[]]`: nothing is known.
  var contextPrefixes: [[UInt8]] { get }
  /// - Parameter context: the context's id.
  func sees(context: UnsafeRawBufferPointer) -> Bool
  /// - Parameter lock: a canonical path.
  func sees(lock: UnsafeRawBufferPointer) -> Bool
}

extension Visibility {
  public var contextPrefixes: [[UInt8]] { [[]] }

  /// Whether an event is seen: that of a lock by its path, any other by its context. The start of a server is nobody's.
  public func sees(_ event: EventView) -> Bool {
    switch event.kind {
    case .lock: seesAllLocks || (event.resourcePath.map { sees(lock: $0) } ?? false)
    case .restart: false
    case .unit, .context, nil: seesAllContexts || (event.contextID.map { sees(context: $0) } ?? false)
    }
  }
}
