internal import Bytes
internal import EventLoop
internal import Model

/// The frames of published events: each is made once per format, when the first follower of an event asks, and lies in
/// memory that all followers share. One loop's; loop thread.
///
/// Frames follow one another in an arena without a gap, so that a follower who is sent several has them in one piece.
/// An arena lives until nobody has anything of it to send. Large bodies stay where the log has them.
final class StreamFrames {
  /// Bytes of an arena. A follower who is behind holds at most the arenas of one turn.
  static let arenaBytes = 128 << 10
  /// Arenas that are kept for reuse.
  private static let arenasKept = 32
  /// Bodies above this are sent from the log's memory, between two small pieces of an arena.
  static let copiedBytesMax = 16 << 10

  /// One event in one format.
  private struct Frame {
    let arena: Slab
    /// All of it; only what stands before the body if that stands elsewhere.
    let head: UnsafeRawBufferPointer
    var body: UnsafeRawBufferPointer?
    var tail = UnsafeRawBufferPointer(start: nil, count: 0)
    var bytes: Int { head.count + (body?.count ?? 0) + tail.count }
  }

  /// An arena, and how much of it is in use.
  private struct Arena {
    let slab: Slab
    var used = 0

    /// `body` writes at most `bytesMax` bytes, for which there must be room.
    mutating func write(_ bytesMax: Int, _ body: (inout ByteWriter) -> Void) -> UnsafeRawBufferPointer {
      var writer = ByteWriter(slab.base + used, capacity: bytesMax)
      body(&writer)
      defer { used += writer.count }
      return UnsafeRawBufferPointer(start: slab.base + used, count: writer.count)
    }
  }

  private let pool = SlabPool(slabBytes: StreamFrames.arenaBytes, keptMax: StreamFrames.arenasKept)
  /// By raw value of `StreamFormat`, as are the frames of the event in hand.
  private var arenas = [Arena?](repeating: nil, count: StreamFormat.allCases.count)
  private var frames = [Frame?](repeating: nil, count: StreamFormat.allCases.count)
  private var event: EventView?
  /// The memory that holds the event in hand.
  private var slab: Slab?

  /// Takes up the next event; the frames of the one before are forgotten.
  func begin(_ event: EventView, in slab: Slab) {
    self.event = event
    self.slab = slab
    for place in frames.indices where frames[place] != nil { frames[place] = nil }
  }

  /// Lets go of the event in hand.
  func end() {
    event = nil
    slab = nil
    for place in frames.indices { frames[place] = nil }
  }

  /// Bytes of the frame of the event in hand.
  func bytes(_ format: StreamFormat) -> Int { frame(format)?.bytes ?? 0 }

  /// Queues the frame of the event in hand: shared with others, or a copy of its own.
  func write(to output: OutputBuffer, _ format: StreamFormat, isShared: Bool) {
    guard let frame = frame(format) else { return }
    guard isShared else {
      output.write(frame.head)
      if let body = frame.body { output.write(body) }
      output.write(frame.tail)
      return
    }
    output.write(shared: frame.arena, frame.head)
    guard let body = frame.body, let slab else { return }
    output.write(shared: slab, body)
    output.write(shared: frame.arena, frame.tail)
  }

  @inline(__always)
  private func frame(_ format: StreamFormat) -> Frame? {
    if let made = frames[format.rawValue] { return made }
    return make(format)
  }

  private func make(_ format: StreamFormat) -> Frame? {
    guard let event, let body = format.body(of: event) else { return nil }
    let suffix = format.suffix(event.kind)
    let isApart = body.count > StreamFrames.copiedBytesMax
    let room = StreamFormat.prefixBytesMax + suffix.utf8CodeUnitCount + (isApart ? 0 : body.count)
    var arena = arenas[format.rawValue] ?? Arena(slab: pool.take())
    if arena.slab.capacity - arena.used < room { arena = Arena(slab: pool.take()) }
    let head = arena.write(room) { writer in
      format.writePrefix(of: event, bodyBytes: body.count, to: &writer)
      guard !isApart else { return }
      writer.run(body)
      writer.run(suffix)
    }
    var frame = Frame(arena: arena.slab, head: head)
    if isApart {
      frame.body = body
      frame.tail = arena.write(suffix.utf8CodeUnitCount) { $0.run(suffix) }
    }
    arenas[format.rawValue] = arena
    frames[format.rawValue] = frame
    return frame
  }
}
