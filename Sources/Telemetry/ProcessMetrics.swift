internal import Glibc
internal import Synchronization

/// What the kernel knows of this process, under the names that Prometheus' own clients use (`process_*`), and of
/// its threads. `sample` reads a few files of /proc; what is shown is the last sample. Any thread.
public final class ProcessMetrics: Sendable {
  /// What a sample found. Times of CPU in nanoseconds.
  struct Sample: Sendable {
    var cpuNanoseconds: UInt64 = 0
    var residentBytes: UInt64 = 0
    var virtualBytes: UInt64 = 0
    var openDescriptors: UInt64 = 0
    var descriptorsMax: UInt64 = 0
    /// Threads of equal names are summed.
    var threads: [ThreadTimes] = []
  }

  /// What threads of a name have done (proc(5), schedstat).
  struct ThreadTimes: Sendable, Equatable {
    var name: String
    var count: UInt64
    /// On a processor.
    var busy: UInt64
    /// Able to run, and waiting for a processor.
    var waiting: UInt64
  }

  /// Threads of the server; all others, which are the store's, are `other`.
  static let threadNames = [
    "engram", "engram-loop-0", "engram-loop-1", "engram-loop-2", "engram-loop-3", "engram-apply",
    "engram-read",
    "engram-disk", "other",
  ]

  private let last = Mutex(Sample())

  /// Registers the metrics, and takes the first sample.
  public init(_ registry: Registry) {
    sample()
    registerProcess(registry)
    for name in ProcessMetrics.threadNames { registerThread(name, registry) }
  }

  private func registerProcess(_ registry: Registry) {
    registry.secondsCounter(
      "process_cpu_seconds_total", "CPU time of the process, user and system.",
      nanoseconds: { [self] in last.withLock { $0.cpuNanoseconds } })
    func gauge(_ name: String, _ help: String, _ read: @escaping @Sendable (Sample) -> UInt64) {
      registry.gauge(name, help) { [self] in Double(last.withLock { read($0) }) }
    }
    gauge("process_resident_memory_bytes", "Memory of the process that is resident.") { $0.residentBytes }
    gauge("process_virtual_memory_bytes", "Address space of the process.") { $0.virtualBytes }
    gauge("process_open_fds", "Open file descriptors.") { $0.openDescriptors }
    gauge("process_max_fds", "Most file descriptors that may be open.") { $0.descriptorsMax }
    let started = ProcessMetrics.startSeconds()
    registry.gauge("process_start_time_seconds", "When the process began, since 1970.") { started }
  }

  private func registerThread(_ name: String, _ registry: Registry) {
    let label = [Label("thread", name)]
    func times(_ read: @escaping @Sendable (ThreadTimes) -> UInt64) -> @Sendable () -> UInt64 {
      { [self] in last.withLock { $0.threads.first { $0.name == name }.map(read) ?? 0 } }
    }
    registry.secondsCounter(
      "engram_thread_cpu_seconds_total", "Time that threads of this name were on a processor.", label,
      nanoseconds: times { $0.busy })
    registry.secondsCounter(
      "engram_thread_runnable_seconds_total",
      "Time that threads of this name were able to run and waited for a processor.", label,
      nanoseconds: times { $0.waiting })
  }

  /// Reads what the kernel says now. Some 60 system calls, and no disk: not for a loop's thread.
  public func sample() {
    var sample = Sample()
    if let text = ProcessMetrics.read("/proc/self/statm") {
      let pages = text.split(separator: " ").map { UInt64($0) ?? 0 }
      let page = UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
      if pages.count > 1 {
        sample.virtualBytes = pages[0] &* page
        sample.residentBytes = pages[1] &* page
      }
    }
    var time = timespec()
    if clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 {
      sample.cpuNanoseconds = UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
    // The directory itself is open while it is read.
    sample.openDescriptors = UInt64(max(1, ProcessMetrics.entries("/proc/self/fd").count) - 1)
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      sample.descriptorsMax = UInt64(limit.rlim_cur)
    }
    sample.threads = ProcessMetrics.threads()
    let found = sample
    last.withLock { last in
      // Of a thread that has ended the kernel says nothing any more: a counter must not fall.
      let before = last.threads
      last = found
      for (place, thread) in found.threads.enumerated() {
        guard let old = before.first(where: { $0.name == thread.name }) else { continue }
        last.threads[place].busy = max(thread.busy, old.busy)
        last.threads[place].waiting = max(thread.waiting, old.waiting)
      }
    }
  }

  static func threads() -> [ThreadTimes] {
    var found = threadNames.map { ThreadTimes(name: $0, count: 0, busy: 0, waiting: 0) }
    for thread in entries("/proc/self/task") {
      guard let name = read("/proc/self/task/\(thread)/comm")?.split(separator: "\n").first,
        let text = read("/proc/self/task/\(thread)/schedstat")
      else { continue }
      let numbers = text.split { $0 == " " || $0 == "\n" }.map { UInt64($0) ?? 0 }
      guard numbers.count >= 2 else { continue }
      let place = threadNames.firstIndex(of: String(name)) ?? threadNames.count - 1
      found[place].count += 1
      found[place].busy += numbers[0]
      found[place].waiting += numbers[1]
    }
    return found
  }

  /// The clock less the time since the process began (proc_pid_stat(5), field 22, in ticks since the start of the
  /// system).
  private static func startSeconds() -> Double {
    var now = timespec()
    var up = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    clock_gettime(CLOCK_BOOTTIME, &up)
    func seconds(_ time: timespec) -> Double { Double(time.tv_sec) + Double(time.tv_nsec) / 1e9 }
    // The name stands between parentheses and may hold anything; the third field comes behind the last of them.
    let fields = read("/proc/self/stat")?.split(separator: ")").last?.split(separator: " ") ?? []
    let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    guard fields.count > 19, let began = Double(fields[19]) else { return seconds(now) }
    return seconds(now) - seconds(up) + began / ticks
  }

  // MARK: /proc

  /// The first 4 KiB of a file, which is all of those that are read here.
  private static func read(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { memory, count in
      count = max(0, Glibc.read(descriptor, memory.baseAddress, memory.count))
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func entries(_ path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }
}
