internal import CIOUring
internal import Synchronization

extension EventLoop {
  /// Queues a job: without a lock or an allocation on the loop's own thread, by the inbox from others.
  public func enqueue(_ job: consuming ExecutorJob) {
    let unowned = UnownedJob(job)
    if isOnLoop {
      counters.enqueues.add()
      jobs.append(unowned)
      return
    }
    counters.remoteEnqueues.addShared()
    let wasEmpty = inbox.withLock { inbox in
      inbox.jobs.append(unowned)
      return inbox.jobs.count == 1
    }
    if wasEmpty { wakeIfAsleep() }
  }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

  public func checkIsolated() {
    precondition(isOnLoop, "not on the thread of loop \(index)")
  }

  public func isIsolatingCurrentContext() -> Bool? { isOnLoop }

  /// Starts a task whose `body` is isolated to the loop's domain and never leaves its thread, as long as it
  /// awaits only what is isolated to the caller or to this domain. Any thread; two allocations.
  ///
  /// `body` is `@Sendable` and not `sending`: Swift 6.3.1 can't check a sent closure with an isolated
  /// parameter ("pattern that the region-based isolation checker does not understand").
  public func spawn(_ body: @escaping @Sendable (isolated LoopDomain) async -> Void) {
    let domain = domain
    Task(executorPreference: self) { await body(domain) }
  }

  /// Runs jobs until none is left or `jobsPerTurnMax` were run.
  func runJobs() {
    let serial = asUnownedSerialExecutor()
    let task = asUnownedTaskExecutor()
    var left = options.jobsPerTurnMax
    while left > 0, let job = jobs.popFirst() {
      job.runSynchronously(isolatedTo: serial, taskExecutor: task)
      left -= 1
    }
  }
}
