internal import EventLoop
internal import Glibc
internal import Synchronization

/// What the main thread is woken for.
enum Occasion: Equatable {
  /// SIGTERM or SIGINT.
  case end
  /// SIGHUP.
  case reload
  /// Something that the process can't outlive.
  case failure(String)
}

/// Where the main thread waits: for a signal, or for a failure.
final class Ending: Sendable {
  /// A semaphore can be posted in a signal handler (signal-safety(7)). One per process, never freed.
  nonisolated(unsafe) private static let semaphore: UnsafeMutablePointer<sem_t> = {
    let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
    return semaphore
  }()
  private static let ends = Atomic<Int>(0)
  private static let reloads = Atomic<Int>(0)
  private let failure = Mutex<String?>(nil)

  init() { Ending.prepare() }

  /// Makes the semaphore: no handler may be the first to use it.
  static func prepare() { _ = semaphore }

  /// The second signal ends the process at once. Safe in a signal handler.
  static func signalled() {
    if ends.add(1, ordering: .relaxed).newValue > 1 { _exit(130) }
    sem_post(semaphore)
  }

  /// Several before the main thread gets to them are one: it reads the files as they are then. Safe in a signal handler.
  static func hungUp() {
    reloads.store(1, ordering: .relaxed)
    sem_post(semaphore)
  }

  func fail(_ reason: String) {
    failure.withLock { $0 = $0 ?? reason }
    sem_post(Ending.semaphore)
  }

  /// The next occasion; a failure before an end, and an end before a reload.
  func wait() -> Occasion {
    while true {
      while sem_wait(Ending.semaphore) != 0 {}
      if let failure = failure.withLock({ $0 }) { return .failure(failure) }
      if Ending.ends.load(ordering: .relaxed) > 0 { return .end }
      if Ending.reloads.exchange(0, ordering: .relaxed) > 0 { return .reload }
    }
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
