internal import CIOUring
internal import Glibc

/// What the sessions of one loop share: buffers, and the time that handshakes may take. Made with the loop's first
/// session. Loop thread.
final class TLSDesk {
  /// The largest record's plaintext (RFC 8446, section 5.1).
  static let recordBytesMax = 16 << 10
  /// Plaintext that is sealed ahead of the kernel's taking it. What a slow reader has queued behind it stays in the
  /// slabs that others share; larger would only be more memory for it.
  static let sealedBytesMax = 64 << 10
  /// The same for one of many that are sent the same.
  static let sealedPatientBytesMax = 16 << 10
  /// Sealed bytes of a peer that makes us answer its key updates and doesn't read: then it is cut.
  static let unreadAnswersMax = 128 << 10
  /// Bytes of a client's hello that may wait for their turn; OpenSSL takes no larger hello either.
  static let helloBytesMax = 132 << 10

  let plaintext: PlaintextPool
  /// Where small pieces are gathered, so that head and body of an answer are one record.
  let scratch: UnsafeMutableRawPointer
  /// Handshakes under way.
  var handshakes = 0
  /// Tags of sockets whose handshake began, in that order: the first of them is under way still, if any is.
  var begun = Fifo<UInt64>(capacity: 64)
  /// Tags of sockets whose handshake waits for its turn.
  var waiting = Fifo<UInt64>(capacity: 64)
  /// Tags of sockets that have ciphertext and no buffer to open it into.
  var starved = Fifo<UInt64>(capacity: 64)
  private let nanosecondsPerTurn: UInt64
  private var spent: UInt64 = 0

  /// Nil without memory.
  init?(_ options: LoopOptions) {
    guard let pool = PlaintextPool(count: options.receiveBufferCount, bytes: options.receiveBufferBytes),
      let scratch = malloc(TLSDesk.recordBytesMax)
    else { return nil }
    plaintext = pool
    self.scratch = scratch
    nanosecondsPerTurn = options.handshakeNanosecondsPerTurn
  }

  deinit { free(scratch) }

  func beginTurn() { spent = 0 }

  /// Whether the next turn has something to do here.
  var hasWork: Bool { !waiting.isEmpty || (!starved.isEmpty && plaintext.available > 0) }

  /// Whether a handshake may be gone on with in this turn. The first of a turn always may.
  var hasTime: Bool { spent < nanosecondsPerTurn }

  /// Runs one step of a handshake, whose time counts.
  func timed<R>(_ step: () -> R) -> R {
    let began = engram_monotonic_ns()
    let result = step()
    spent += max(1, engram_monotonic_ns() &- began)
    return result
  }
}
