internal import Bytes
internal import CIOUring
internal import Glibc

/// A run of output memory, with its header in front of the bytes.
struct Chunk {
  typealias Pointer = UnsafeMutablePointer<Chunk>

  /// The whole of a pooled chunk, header included.
  static let pooledBytes = 16_384
  private static let headerBytes = 32

  /// One for each piece of it that is not sent yet, and one while it is the end that bytes are appended to.
  var references: Int
  var used: Int
  let capacity: Int

  static func make(capacity: Int) -> Pointer {
    guard let memory = malloc(headerBytes + capacity) else {
      fatalError("out of memory: no room for \(capacity) bytes of output")
    }
    let chunk = memory.bindMemory(to: Chunk.self, capacity: 1)
    chunk.initialize(to: Chunk(references: 1, used: 0, capacity: capacity))
    return chunk
  }

  static let pooledCapacity = pooledBytes - headerBytes

  static func bytes(_ chunk: Pointer) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(chunk) + headerBytes
  }
}

/// A run of bytes to send, with what keeps them alive.
struct OutputPiece {
  enum Owner {
    case chunk(Chunk.Pointer)
    case slab(Unmanaged<Slab>)
    /// Lives as long as the process, or as a piece behind it, which is let go of later.
    case other
  }

  var base: UnsafeRawPointer
  var count: Int
  let owner: Owner
}

/// What one socket has still to send: a ring of pieces and, if they are several, the message in flight. Pooled
/// by the loop, so that an idle socket has none; small, because a fan-out takes one for each subscriber.
final class OutputQueue {
  /// IOV_MAX is 1024. Enough for the answer to a batch of 100 from its slab: two for each unit.
  static let vectorsMax = 256
  private static let piecesAtFirst = 8
  private static let piecesKept = 1024

  private(set) var bytes = 0
  private var pieces: UnsafeMutablePointer<OutputPiece>
  private var capacity = OutputQueue.piecesAtFirst
  private var head = 0
  private(set) var count = 0
  private var end: Chunk.Pointer?
  /// Filled by `fillMessage`, and the loop's again once the kernel is done with it.
  private(set) var message: OutputMessage?
  /// Outlives its queues: they are held by it, or by a socket that holds its loop.
  private unowned(unsafe) let pool: OutputPool

  init(_ pool: OutputPool) {
    self.pool = pool
    pieces = .allocate(capacity: capacity)
  }

  deinit {
    clear()
    pieces.deallocate()
  }

  /// At least `wanted` bytes of room at the end; written to by the caller, then counted by `commit`.
  func reserve(_ wanted: Int) -> UnsafeMutableRawPointer {
    if let end, end.pointee.capacity - end.pointee.used >= wanted {
      return Chunk.bytes(end) + end.pointee.used
    }
    releaseEnd()
    let chunk = pool.takeChunk(atLeast: wanted)
    end = chunk
    return Chunk.bytes(chunk)
  }

  /// All the room at the end, at least `wanted` bytes.
  func reserveRest(atLeast wanted: Int) -> UnsafeMutableRawBufferPointer {
    let base = reserve(wanted)
    return UnsafeMutableRawBufferPointer(
      start: base, count: end.map { $0.pointee.capacity - $0.pointee.used } ?? 0)
  }

  func commit(_ written: Int) {
    guard let end, written > 0 else { return }
    precondition(written <= end.pointee.capacity - end.pointee.used, "more was written than reserved")
    let base = UnsafeRawPointer(Chunk.bytes(end) + end.pointee.used)
    end.pointee.used += written
    bytes += written
    if count > 0 {
      let last = pieces + ((head + count - 1) & (capacity - 1))
      if case .chunk(end) = last.pointee.owner, last.pointee.base + last.pointee.count == base {
        last.pointee.count += written
        return
      }
    }
    end.pointee.references += 1
    append(OutputPiece(base: base, count: written, owner: .chunk(end)))
  }

  func write(_ source: UnsafeRawBufferPointer) {
    var rest = source
    while !rest.isEmpty {
      var room = end.map { $0.pointee.capacity - $0.pointee.used } ?? 0
      if room == 0 {
        _ = reserve(1)
        room = end.map { $0.pointee.capacity - $0.pointee.used } ?? 0
      }
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(room))
      UnsafeMutableRawBufferPointer(start: reserve(part.count), count: part.count).copyMemory(from: part)
      commit(part.count)
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
    }
  }

  func write(shared slab: Slab, _ run: UnsafeRawBufferPointer) {
    guard let base = run.baseAddress, !run.isEmpty else { return }
    bytes += run.count
    if count > 0 {
      let last = pieces + ((head + count - 1) & (capacity - 1))
      if last.pointee.base + last.pointee.count == base, case .slab(let held) = last.pointee.owner,
        held.toOpaque() == Unmanaged.passUnretained(slab).toOpaque()
      {
        last.pointee.count += run.count
        return
      }
    }
    append(OutputPiece(base: base, count: run.count, owner: .slab(Unmanaged.passRetained(slab))))
  }

  func write(shared slab: Slab, _ runs: [UnsafeRawBufferPointer], between separator: StaticString) {
    for place in runs.indices {
      guard let base = runs[place].baseAddress, !runs[place].isEmpty else {
        preconditionFailure("a run without bytes: the last one holds the slab")
      }
      if place > 0 {
        bytes += separator.utf8CodeUnitCount
        append(OutputPiece(base: separator.utf8Start, count: separator.utf8CodeUnitCount, owner: .other))
      }
      bytes += runs[place].count
      // The last one holds the slab for all.
      let isLast = place == runs.count - 1
      append(
        OutputPiece(
          base: base, count: runs[place].count, owner: isLast ? .slab(Unmanaged.passRetained(slab)) : .other))
    }
  }

  /// The one piece, if there is just one.
  var single: UnsafeRawBufferPointer? {
    guard count == 1 else { return nil }
    let piece = pieces[head]
    return UnsafeRawBufferPointer(start: piece.base, count: piece.count)
  }

  /// The first bytes, at most `most`: where they lie if that is one piece, else gathered in `scratch`, which has room for
  /// so many. The queue is not empty.
  func run(upTo most: Int, scratch: UnsafeMutableRawPointer) -> UnsafeRawBufferPointer {
    let first = pieces[head]
    if count == 1 || first.count >= most {
      return UnsafeRawBufferPointer(start: first.base, count: min(first.count, most))
    }
    var gathered = 0
    for n in 0..<count where gathered < most {
      let piece = pieces[(head + n) & (capacity - 1)]
      let part = min(piece.count, most - gathered)
      (scratch + gathered).copyMemory(from: piece.base, byteCount: part)
      gathered += part
    }
    return UnsafeRawBufferPointer(start: scratch, count: gathered)
  }

  /// A message of the first pieces. It stays until `consume` or `clear`.
  func fillMessage() -> UnsafeMutablePointer<msghdr> {
    let message = message ?? pool.takeMessage()
    self.message = message
    let filled = min(count, OutputQueue.vectorsMax)
    for n in 0..<filled {
      let piece = pieces[(head + n) & (capacity - 1)]
      message.vectors[n] = iovec(
        iov_base: UnsafeMutableRawPointer(mutating: piece.base), iov_len: piece.count)
    }
    message.header.pointee.msg_iov = message.vectors
    message.header.pointee.msg_iovlen = filled
    return message.header
  }

  private func releaseMessage() {
    guard let message else { return }
    pool.giveBack(message)
    self.message = nil
  }

  /// The kernel took the first `sent` bytes.
  func consume(_ sent: Int) {
    precondition(sent <= bytes)
    releaseMessage()
    bytes -= sent
    var left = sent
    while left > 0 {
      let piece = pieces + head
      if piece.pointee.count > left {
        piece.pointee.base += left
        piece.pointee.count -= left
        return
      }
      left -= piece.pointee.count
      dropFirst()
    }
  }

  /// Lets go of everything.
  func clear() {
    while count > 0 { dropFirst() }
    bytes = 0
    releaseEnd()
    releaseMessage()
    if capacity > OutputQueue.piecesKept { resize(OutputQueue.vectorsMax) }
  }

  /// Gives memory back that few need. The queue is empty.
  func shrink() {
    if capacity > OutputQueue.piecesAtFirst { resize(OutputQueue.piecesAtFirst) }
  }

  /// The queue is empty.
  private func resize(_ to: Int) {
    pieces.deallocate()
    capacity = to
    head = 0
    pieces = .allocate(capacity: to)
  }

  private func dropFirst() {
    switch pieces[head].owner {
    case .chunk(let chunk): pool.release(chunk)
    case .slab(let slab): slab.release()
    case .other: break
    }
    head = (head + 1) & (capacity - 1)
    count -= 1
  }

  private func releaseEnd() {
    if let end { pool.release(end) }
    end = nil
  }

  private func append(_ piece: OutputPiece) {
    if count == capacity {
      // Beyond the first few, there are many as a rule.
      let grown = max(capacity * 2, OutputQueue.vectorsMax)
      let larger = UnsafeMutablePointer<OutputPiece>.allocate(capacity: grown)
      for n in 0..<count { (larger + n).initialize(to: pieces[(head + n) & (capacity - 1)]) }
      pieces.deallocate()
      pieces = larger
      capacity = grown
      head = 0
    }
    (pieces + ((head + count) & (capacity - 1))).initialize(to: piece)
    count += 1
  }
}

/// The header and the vectors of a message, for one sendmsg.
struct OutputMessage {
  let header: UnsafeMutablePointer<msghdr>
  let vectors: UnsafeMutablePointer<iovec>

  static func make() -> OutputMessage {
    let header = UnsafeMutablePointer<msghdr>.allocate(capacity: 1)
    header.initialize(to: msghdr())
    return OutputMessage(header: header, vectors: .allocate(capacity: OutputQueue.vectorsMax))
  }

  func deallocate() {
    header.deallocate()
    vectors.deallocate()
  }
}

/// Chunks, queues and messages of one loop, for reuse. Loop thread.
final class OutputPool {
  private let chunksKept: Int
  private var chunks: [Chunk.Pointer] = []
  private var queues: [OutputQueue] = []
  /// Takes what is written to sockets that send no more.
  private(set) lazy var discarded = OutputQueue(self)
  private var messages: [OutputMessage] = []
  /// A small queue is 400 bytes.
  private static let queuesKept = 4096
  /// Of them so many may be large: 8 KiB.
  private static let largeQueuesKept = 256
  /// Of 4 KiB.
  private static let messagesKept = 256

  init(chunksKept: Int) {
    self.chunksKept = chunksKept
    chunks.reserveCapacity(chunksKept)
    queues.reserveCapacity(OutputPool.largeQueuesKept)
    messages.reserveCapacity(OutputPool.messagesKept)
  }

  deinit {
    // Before the messages: they give theirs back.
    queues = []
    for message in messages { message.deallocate() }
    for chunk in chunks { free(chunk) }
  }

  func takeChunk(atLeast wanted: Int) -> Chunk.Pointer {
    guard wanted <= Chunk.pooledCapacity else { return Chunk.make(capacity: wanted) }
    guard let chunk = chunks.popLast() else { return Chunk.make(capacity: Chunk.pooledCapacity) }
    chunk.pointee.references = 1
    chunk.pointee.used = 0
    return chunk
  }

  func release(_ chunk: Chunk.Pointer) {
    chunk.pointee.references -= 1
    guard chunk.pointee.references == 0 else { return }
    if chunk.pointee.capacity == Chunk.pooledCapacity, chunks.count < chunksKept {
      chunks.append(chunk)
    } else {
      free(chunk)
    }
  }

  func takeQueue() -> OutputQueue { queues.popLast() ?? OutputQueue(self) }

  func giveBack(_ queue: OutputQueue) {
    queue.clear()
    guard queues.count < OutputPool.queuesKept else { return }
    if queues.count >= OutputPool.largeQueuesKept { queue.shrink() }
    queues.append(queue)
  }

  func takeMessage() -> OutputMessage { messages.popLast() ?? .make() }

  func giveBack(_ message: OutputMessage) {
    if messages.count < OutputPool.messagesKept { messages.append(message) } else { message.deallocate() }
  }
}
