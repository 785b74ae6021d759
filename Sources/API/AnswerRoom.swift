internal import Model

/// The bytes of answers that wait to be read, on all connections together, and who may be given more of them. From half
/// of what there may be on it is scarce, and what is left is for those who hold little: who doesn't read keeps nobody
/// else from answers. A value.
public struct AnswerRoom: Sendable, Equatable {
  /// Bytes that wait.
  public var waiting: Int
  /// How many may.
  public var most: Int

  public init(waiting: Int, most: Int) {
    self.waiting = waiting
    self.most = most
  }

  /// A fair share is a part of the whole, and a page at most.
  private static let sharesOfAll = 16

  /// What one agent, or one address, may hold where room is scarce.
  var shareBytes: Int { min(Limits.pageBytesMax, most / AnswerRoom.sharesOfAll) }

  var isScarce: Bool { waiting >= most / 2 }

  var isFull: Bool { waiting >= most }

  /// Whether an answer of `bytes` may be given to somebody of whose answers `held` bytes wait, which is looked up where
  /// room is scarce only. Who holds nothing is given one, whatever its size.
  func admits(_ bytes: Int, held: @autoclosure () -> Int) -> Bool {
    if !isScarce { return true }
    if isFull { return false }
    let held = held()
    return held == 0 || bytes <= shareBytes - held
  }

  /// Whether somebody of whose answers `held` bytes wait has to read at a pace.
  func presses(held: @autoclosure () -> Int) -> Bool { isFull || (isScarce && held() > shareBytes) }
}
