internal import CIOUring
internal import Glibc
internal import Synchronization

/// A thread for blocking work, one piece after the other, started with the first piece.
final class BackgroundThread: Sendable {
  private struct State {
    var work: [@Sendable () -> Void] = []
    var thread: UInt?
    var isEnding = false
  }

  /// What the thread and its owner share; the thread holds it as long as it runs.
  private final class Shared: @unchecked Sendable {
    let state = Mutex(State())
    let pending: UnsafeMutablePointer<sem_t>

    init() {
      pending = .allocate(capacity: 1)
      sem_init(pending, 0, 0)
    }

    deinit {
      sem_destroy(pending)
      pending.deallocate()
    }
  }

  private let shared = Shared()

  /// Queues `work`; after `end` it is dropped. Any thread.
  func add(_ work: @escaping @Sendable () -> Void) {
    shared.state.withLock { state in
      guard !state.isEnding else { return }
      state.work.append(work)
      if state.thread == nil {
        var thread = pthread_t()
        let result = pthread_create(
          &thread, nil, BackgroundThread.main, Unmanaged.passRetained(shared).toOpaque())
        guard result == 0 else { fatalError("pthread_create: \(String(cString: strerror(result)))") }
        state.thread = UInt(thread)
      }
      sem_post(shared.pending)
    }
  }

  /// Waits until everything queued was done and the thread has ended. From the thread itself it doesn't wait.
  func end() {
    let thread = shared.state.withLock { state in
      state.isEnding = true
      sem_post(shared.pending)
      defer { state.thread = nil }
      return state.thread
    }
    guard let thread else { return }
    if pthread_equal(pthread_t(thread), pthread_self()) != 0 {
      pthread_detach(pthread_t(thread))
    } else {
      pthread_join(pthread_t(thread), nil)
    }
  }

  private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
    guard let argument = $0 else { return nil }
    engram_name_thread("engram-disk")
    let shared = Unmanaged<Shared>.fromOpaque(argument).takeRetainedValue()
    while true {
      while sem_wait(shared.pending) != 0, errno == EINTR {}
      let (work, ends) = shared.state.withLock { state in
        (state.work.isEmpty ? nil : state.work.removeFirst(), state.isEnding)
      }
      if let work {
        work()
      } else if ends {
        return nil
      }
    }
  }
}
