internal import Bytes
internal import Model
internal import WAL

/// A command to the home of the log: made on the loop of a connection, handed to the home loop and back with its
/// outcome, and touched by one of them at a time: hence unchecked. Its kinds are `AppendRequest`, `ContextRequest`
/// and `LockRequest`.
public class HomeRequest: @unchecked Sendable {
  /// The loop whose connection waits.
  public let loop: Int
  /// The connection's task, which waits.
  var continuation: UnsafeContinuation<Void, Never>?
  /// Keeps the connection's commands in their order, if there are several at a time.
  public var lane: RequestLane?

  // Touched by the home from `submit` to `completed`.
  /// Reads of the store that it waits for.
  var loads = 0
  /// The home's second in which it was submitted.
  var submittedSecond = 0
  /// Why it is refused, to be told once what the refusal depends on is durable.
  var refusal: Problem?

  init(loop: Int) { self.loop = loop }

  /// Forgets what was asked for and what came of it.
  public func reset() {
    loads = 0
    refusal = nil
  }

  /// Whether it is refused where writes are.
  var isWrite: Bool { true }
  /// Whether it waits with other writes while the store is behind.
  var keepsPace: Bool { true }

  /// Brings what it names into memory. False: that takes a while, or it was refused.
  func admit(to home: Home) -> Bool { true }
  /// Turns it into events. False: there is no room until a batch is sealed.
  func place(in home: Home) -> Bool { true }
  /// All that it depends on is durable; its events, if it has some, are in `batch`.
  func settle(in batch: Batch?) {}
  func refuse(_ problem: Problem) {}
  /// Gives back what it holds in the home's memory. It is answered.
  func leave(_ home: Home) {}

  /// Gives back what it no longer needs, after the home, which is on the connection's thread, has taken it.
  func letGo() {}

  /// Tells the connection. On its loop's thread, once the outcome is there.
  func resume() {
    let waiting = continuation
    continuation = nil
    waiting?.resume()
  }
}

/// The commands of one connection that has many under way: sequenced in the order in which they were submitted, even
/// where one of them has to wait for the store. Home thread, once it is in use.
public final class RequestLane: @unchecked Sendable {
  /// Admitted, and not sequenced yet.
  var current: HomeRequest?
  /// Behind it.
  var waiting = Ring<HomeRequest>()

  public init() {}
}
