internal import CIOUring
public import Glibc

/// A wait whose end doesn't move with the wall clock, as that of sem_timedwait(3) does: set back by an hour, it would
/// last an hour longer. Blocks: not for a loop's thread.
public enum MonotonicWait {
  /// Waits until `semaphore` is posted, at most for `nanoseconds`.
  /// - Returns: whether it was posted; a signal may end the wait early.
  @discardableResult
  public static func wait(_ semaphore: UnsafeMutablePointer<sem_t>, nanoseconds: UInt64) -> Bool {
    engram_semaphore_wait(semaphore, nanoseconds) == 0
  }
}
