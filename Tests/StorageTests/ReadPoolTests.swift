import Glibc
import Storage
import Synchronization
import Testing

@Suite struct ReadPoolTests {
  /// A gate that work waits at: a semaphore of the C library, so that a pool's thread may block on it.
  final class Gate: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { sem_init(semaphore, 0, 0) }
    deinit {
      sem_destroy(semaphore)
      semaphore.deallocate()
    }
    func wait() { while sem_wait(semaphore) != 0 {} }
    func signal() { sem_post(semaphore) }
  }

  @Test func everyPieceOfWorkRunsOnce() throws {
    let pool = try ReadPool(threads: 3, queuedMax: 10_000)
    let sum = Atomic<Int>(0)
    let done = Gate()
    for number in 1...2000 {
      #expect(
        pool.submit {
          if sum.add(number, ordering: .relaxed).newValue == 2000 * 2001 / 2 { done.signal() }
        })
    }
    done.wait()
    pool.close()
    #expect(sum.load(ordering: .relaxed) == 2000 * 2001 / 2)
  }

  @Test func oneThreadKeepsTheOrder() throws {
    let pool = try ReadPool(threads: 1, queuedMax: 1000)
    let order = Mutex<[Int]>([])
    for number in 0..<500 { _ = pool.submit { order.withLock { $0.append(number) } } }
    pool.close()
    #expect(order.withLock { $0 } == Array(0..<500))
  }

  @Test func aFullQueueRefuses() throws {
    let pool = try ReadPool(threads: 1, queuedMax: 2)
    let started = Gate()
    let release = Gate()
    let ran = Atomic<Int>(0)
    #expect(
      pool.submit {
        started.signal()
        release.wait()
      })
    started.wait()
    #expect(pool.submit { ran.add(1, ordering: .relaxed) })
    #expect(pool.submit { ran.add(1, ordering: .relaxed) })
    #expect(!pool.submit { ran.add(100, ordering: .relaxed) })
    release.signal()
    pool.close()
    #expect(ran.load(ordering: .relaxed) == 2)
  }

  @Test func aClosedPoolHasFinishedItsWorkAndTakesNoMore() throws {
    let pool = try ReadPool(threads: 2)
    let ran = Atomic<Int>(0)
    for _ in 0..<50 { _ = pool.submit { ran.add(1, ordering: .relaxed) } }
    pool.close()
    #expect(ran.load(ordering: .relaxed) == 50)
    #expect(!pool.submit {})
    pool.close()
  }
}
