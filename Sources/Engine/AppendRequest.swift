public import Model
internal import WAL

/// What became of an append.
public enum AppendOutcome {
  /// It is durable: the unit's record, which lives until the request is reset.
  case appended(EventView)
  /// The same unit was appended before, under the id that the client chose, and is durable.
  case exists(UnitID)
  case refused(Problem)
}

/// One append on its way: made by a connection, which lends the request body to its draft until the outcome
/// is there, and used again for the connection's next one. It is handed from the connection's loop to the
/// home loop and back, and touched by one of them at a time: hence unchecked.
public final class AppendRequest: @unchecked Sendable {
  public let draft = UnitDraft()
  public internal(set) var outcome: AppendOutcome?
  /// The loop whose connection waits.
  public let loop: Int
  /// The connection's task, which waits.
  var continuation: UnsafeContinuation<Void, Never>?

  // The home loop's notes.
  var context: ResidentContext?
  var isIDCleared = false
  var storedHash: ContentHash?
  /// No unit up to here has the draft's id.
  var clearedHead = Position.zero
  var recordIndex = 0
  var existing: UnitID?
  /// Keeps the unit's memory.
  var batch: Batch?

  public init(loop: Int) { self.loop = loop }

  /// Forgets the last outcome; the draft's buffers stay.
  public func reset() {
    outcome = nil
    context = nil
    isIDCleared = false
    storedHash = nil
    clearedHead = .zero
    existing = nil
    batch = nil
  }

  /// Resumes the connection's task. On its loop's thread, once the outcome is there.
  func resume() {
    let waiting = continuation
    continuation = nil
    waiting?.resume()
  }
}
