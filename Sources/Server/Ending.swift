internal import EventLoop
internal import Glibc
internal import Synchronization

/// Where the main thread waits for a reason to end: a signal, or a failure that the process can't outlive.
final class Ending: Sendable {
  /// A semaphore can be posted in a signal handler (signal-safety(7)). One per process, never freed.
  nonisolated(unsafe) private static let semaphore: UnsafeMutablePointer<sem_t> = {
    let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
    return semaphore
  }()
  private static let signals = Atomic<Int>(0)
  private let failure = Mutex<String?>(nil)

  init() { _ = Ending.semaphore }

  /// The second signal ends the process at once.
  static func signalled() {
    if signals.add(1, ordering: .relaxed).newValue > 1 { _exit(130) }
    sem_post(semaphore)
  }

  func fail(_ reason: String) {
    failure.withLock { $0 = $0 ?? reason }
    sem_post(Ending.semaphore)
  }

  /// Returns the failure, or nil after a signal.
  func wait() -> String? {
    while sem_wait(Ending.semaphore) != 0 {}
    return failure.withLock { $0 }
  }
}

/// Waits for several things to be done.
final class Countdown: Sendable {
  private let left: Atomic<Int>
  nonisolated(unsafe) private let semaphore: UnsafeMutablePointer<sem_t>

  init(_ count: Int) {
    left = Atomic(count)
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func countDown() {
    if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { sem_post(semaphore) }
  }

  /// False if it took longer.
  func wait(seconds: UInt64) -> Bool {
    let end = EventLoop.monotonicNanoseconds() + seconds * 1_000_000_000
    while true {
      let now = EventLoop.monotonicNanoseconds()
      if MonotonicWait.wait(semaphore, nanoseconds: end > now ? end - now : 0) { return true }
      if now >= end { return false }
    }
  }
}
