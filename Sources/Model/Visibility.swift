/// What a reader may see of contexts and locks. What it may not see is to look as if it weren't there.
/// Immutable, any thread: a policy that changes makes new ones.
public protocol Visibility: AnyObject, Sendable {
  /// Whether every context is seen: then nobody needs to ask for each.
  var seesAllContexts: Bool { get }
  var seesAllLocks: Bool { get }
  /// - Parameter context: the context's id.
  func sees(context: UnsafeRawBufferPointer) -> Bool
  /// - Parameter lock: a canonical path.
  func sees(lock: UnsafeRawBufferPointer) -> Bool
}
