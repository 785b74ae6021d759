public import Bytes

/// What a frame is (RFC 6455, section 5.2). The others are reserved.
public enum WebSocketOpcode: UInt8, Sendable, CaseIterable {
  case continuation = 0
  case text = 1
  case binary = 2
  case close = 8
  case ping = 9
  case pong = 10

  public var isControl: Bool { rawValue & 8 != 0 }
}

/// Frames as a server sends them: whole messages, not masked (RFC 6455, sections 5.1 and 5.2). Each says its size
/// beforehand, so that the caller can reserve it, and is written without allocation.
///
/// A text whose bytes stand elsewhere, shared by many subscribers, is a header followed by those bytes:
/// ```
/// WebSocketFrame.writeHeader(.text, length: prefix.count + body.count + 1, to: &writer)
/// ```
public enum WebSocketFrame {
  /// Bytes of the longest header, without a masking key.
  public static let headerBytesMax = 10
  /// Bytes of a ping's, a pong's or a close's payload, at most (section 5.5).
  public static let controlBytesMax = 125
  /// Bytes of the reason in a close frame, behind its code.
  public static let reasonBytesMax = controlBytesMax - 2

  /// Bytes of the header of a frame with `length` bytes of payload.
  @inlinable public static func headerBytes(_ length: Int) -> Int {
    length <= controlBytesMax ? 2 : length <= 0xffff ? 4 : 10
  }

  /// Bytes of a whole frame with `length` bytes of payload.
  @inlinable public static func bytes(_ length: Int) -> Int { headerBytes(length) + length }

  /// The header of an unfragmented frame of `length` bytes, which follow. Requires 0 or more, and at most
  /// `controlBytesMax` for a control frame.
  public static func writeHeader(_ opcode: WebSocketOpcode, length: Int, to writer: inout ByteWriter) {
    precondition(length >= 0 && (!opcode.isControl || length <= controlBytesMax), "no such frame")
    writer.byte(0x80 | opcode.rawValue)
    if length <= controlBytesMax {
      writer.byte(UInt8(truncatingIfNeeded: length))
    } else if length <= 0xffff {
      writer.byte(126)
      writer.integer(UInt16(truncatingIfNeeded: length).byteSwapped)
    } else {
      writer.byte(127)
      writer.integer(UInt64(length).byteSwapped)
    }
  }

  /// A whole frame: `bytes(payload.count)` bytes.
  public static func write(
    _ opcode: WebSocketOpcode, _ payload: UnsafeRawBufferPointer, to writer: inout ByteWriter
  ) {
    writeHeader(opcode, length: payload.count, to: &writer)
    writer.run(payload)
  }

  /// Bytes of `close`.
  public static func closeBytes(_ code: WebSocketCloseCode?, reason: UnsafeRawBufferPointer) -> Int {
    code == nil ? 2 : 4 + fitting(reason)
  }

  /// A close frame; without a code it has no payload, as the answer to a close frame without one. Of a reason of more
  /// than `reasonBytesMax` bytes, which is UTF-8, as many whole characters are sent as fit.
  public static func close(
    _ code: WebSocketCloseCode?, reason: UnsafeRawBufferPointer, to writer: inout ByteWriter
  ) {
    guard let code else { return writeHeader(.close, length: 0, to: &writer) }
    assert(code.mayStandInFrame)
    let count = fitting(reason)
    writeHeader(.close, length: 2 + count, to: &writer)
    writer.integer(code.rawValue.byteSwapped)
    writer.run(UnsafeRawBufferPointer(rebasing: reason[..<count]))
  }

  /// Bytes of the beginning of `reason` that fit and end with a character.
  private static func fitting(_ reason: UnsafeRawBufferPointer) -> Int {
    guard reason.count > reasonBytesMax else { return reason.count }
    var count = reasonBytesMax
    while count > 0, reason[count] & 0xc0 == 0x80 { count -= 1 }
    return count
  }
}
