internal import Synchronization

/// A number that one thread counts up and any thread reads.
public struct LoopCounter: ~Copyable, Sendable {
  private let number = Atomic<UInt64>(0)

  init() {}

  public var value: UInt64 { number.load(ordering: .relaxed) }

  /// Loop thread only: no locked instruction.
  func add(_ amount: UInt64 = 1) {
    number.store(number.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }

  /// Any thread.
  func addShared() { number.wrappingAdd(1, ordering: .relaxed) }
}

/// What a loop has done since it was made. Any thread may read; values of one moment need not agree.
public final class LoopCounters: Sendable {
  public let turns = LoopCounter()
  /// io_uring_enter calls of turns (not those forced by a full submission queue: `sqFull`).
  public let enters = LoopCounter()
  /// Jobs enqueued by the loop's own thread.
  public let enqueues = LoopCounter()
  /// Jobs enqueued by other threads.
  public let remoteEnqueues = LoopCounter()
  public let completions = LoopCounter()
  public let sqFull = LoopCounter()
  /// Turns that found the completion queue overflown: it should be larger.
  public let cqOverflow = LoopCounter()
  /// Receives that ended because no buffer was free.
  public let bufferShortages = LoopCounter()
  /// Times that another thread found the loop asleep and woke it.
  public let wakes = LoopCounter()
  public let accepted = LoopCounter()
  public let receivedBytes = LoopCounter()
  public let sentBytes = LoopCounter()
  /// Times that a listener paused for want of descriptors or memory.
  public let acceptPauses = LoopCounter()
  public let tls = TLSCounters()
  /// Nanoseconds for which the loop was not let run, in stretches of more than `LoopOptions.latenessMax`.
  public let lostNanoseconds = LoopCounter()

  init() {}
}
