public import Bytes

/// What a socket sends: bytes appended here leave, in order, at the end of the turn. Loop thread.
///
/// Before the socket was started, and after it began to close or to finish sending, what is written is
/// dropped.
public struct OutputBuffer {
  let socket: Socket

  /// Room for `count` bytes at the end, to be written to and then counted by `commit` before anything else is
  /// called. Up to 16 KiB come from the loop's pool; more is allocated.
  public func reserve(_ count: Int) -> UnsafeMutableRawPointer {
    socket.loop.assertOnLoop()
    precondition(count >= 0)
    return socket.openQueue.reserve(count)
  }

  /// The same for all the room that there is, if it is at least `count` bytes: for many small pieces.
  public func reserveRest(atLeast count: Int) -> UnsafeMutableRawBufferPointer {
    socket.loop.assertOnLoop()
    precondition(count >= 0)
    return socket.openQueue.reserveRest(atLeast: count)
  }

  /// Appends the first `count` bytes of what `reserve` gave; more than that traps.
  public func commit(_ count: Int) {
    socket.openQueue.commit(count)
    socket.outputGrew()
  }

  /// Appends a copy of `bytes`.
  public func write(_ bytes: UnsafeRawBufferPointer) {
    socket.loop.assertOnLoop()
    socket.openQueue.write(bytes)
    socket.outputGrew()
  }

  /// Appends the bytes of a literal.
  public func write(_ text: StaticString) {
    write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Appends `bytes`, which lie in `slab`, without copying them: the slab is held until they are sent, and
  /// they don't change. A run that goes on where the last one of the same slab ended is one piece with it.
  public func write(shared slab: Slab, _ bytes: UnsafeRawBufferPointer) {
    socket.loop.assertOnLoop()
    socket.openQueue.write(shared: slab, bytes)
    socket.outputGrew()
  }

  /// The same for several runs of bytes of one slab, none of them empty, with `separator` between them.
  public func write(shared slab: Slab, _ runs: [UnsafeRawBufferPointer], between separator: StaticString) {
    socket.loop.assertOnLoop()
    socket.openQueue.write(shared: slab, runs, between: separator)
    socket.outputGrew()
  }

  /// Bytes that the kernel has not taken yet.
  public var queuedBytes: Int { socket.queuedBytes }
}
