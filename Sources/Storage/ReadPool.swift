internal import CRocksDB
internal import Glibc

/// A few threads for reads that would touch the disk, with a queue that refuses instead of growing.
public final class ReadPool: @unchecked Sendable {
  public static let threadsDefault = 2
  public static let queuedMaxDefault = 1024

  private let queuedMax: Int
  /// Guards everything below.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var queue: [@Sendable () -> Void] = []
  /// Index of the oldest piece of work in `queue`; those before it are done with.
  private var queueHead = 0
  private var isClosing = false
  private var threads: [pthread_t] = []

  /// Starts `threads` threads, named `engram-read`.
  /// - Parameter queuedMax: pieces of work that may wait, those being done not counted.
  /// - Throws: `operational` when the system gives no thread.
  public init(threads count: Int = threadsDefault, queuedMax: Int = queuedMaxDefault) throws(StoreError) {
    precondition(count > 0 && queuedMax > 0)
    self.queuedMax = queuedMax
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    pthread_cond_init(condition, nil)
    for _ in 0..<count { try startThread() }
  }

  deinit {
    // Each thread holds a reference until it has ended, so none is left here.
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Queues work; any thread. It runs on one of the pool's threads, oldest first.
  /// - Returns: false, and the work will not run, when the queue is full or the pool is closed: answer 503.
  public func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard !isClosing, queue.count - queueHead < queuedMax else { return false }
    queue.append(work)
    pthread_cond_signal(condition)
    return true
  }

  /// Lets the threads finish what is queued, and waits for them to end. Idempotent; not from work of the pool.
  public func close() {
    pthread_mutex_lock(mutex)
    isClosing = true
    let joined = threads
    threads = []
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
    for thread in joined { pthread_join(thread, nil) }
  }

  private func startThread() throws(StoreError) {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    let error = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        engram_name_thread("engram-read")
        Unmanaged<ReadPool>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, context.toOpaque())
    guard error == 0 else {
      context.release()
      close()
      throw StoreError(
        operation: "start the read pool", message: "pthread_create: error \(error)", severity: .operational)
    }
    threads.append(thread)
  }

  private func run() {
    while let work = next() { work() }
  }

  private func next() -> (@Sendable () -> Void)? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while queueHead == queue.count {
      if isClosing { return nil }
      pthread_cond_wait(condition, mutex)
    }
    let work = queue[queueHead]
    queueHead += 1
    // Moves the rest down once half of the array is done with: constant cost per piece of work.
    if queueHead * 2 >= queue.count {
      queue.removeFirst(queueHead)
      queueHead = 0
    }
    return work
  }
}
