/// Percent-decoding (RFC 3986, section 2.1) into memory of the caller, strictly.
public enum PercentEncoding {
  /// Decodes `text` into `scratch`, which has room for `text.count` bytes (required), and returns the bytes
  /// written. In a query `plusIsSpace` also turns `+` into a space.
  /// Throws `malformedPercentEncoding`, or `invalidUTF8` if the result is not UTF-8. `%00` and other control
  /// characters decode: whether they may stand there is for the reader of the value to say.
  public static func decode(
    _ text: UnsafeRawBufferPointer, into scratch: UnsafeMutableRawBufferPointer, plusIsSpace: Bool = false
  ) throws(HTTPError) -> Int {
    precondition(scratch.count >= text.count, "no room left")
    var read = 0
    var written = 0
    var ascii: UInt8 = 0
    while read < text.count {
      var byte = text[read]
      read += 1
      if byte == UInt8(ascii: "%") {
        guard text.count - read >= 2, let high = ASCII.hexadecimal(text[read]),
          let low = ASCII.hexadecimal(text[read + 1])
        else { throw .malformedPercentEncoding }
        byte = high << 4 | low
        read += 2
      } else if plusIsSpace, byte == UInt8(ascii: "+") {
        byte = ASCII.space
      }
      ascii |= byte
      scratch[written] = byte
      written += 1
    }
    if ascii >= 0x80 {
      let decoded = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[..<written])
      guard isUTF8(decoded) else { throw .invalidUTF8 }
    }
    return written
  }

  /// Whether `text`, decoded, spells `name`: `/%68ealthz` is `/healthz` (RFC 3986, section 6.2.2.2).
  public static func equal(_ text: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
    guard isEncoded(text) else { return ASCII.equal(text, name) }
    var read = 0
    var matched = 0
    while read < text.count, matched < name.utf8CodeUnitCount {
      var byte = text[read]
      read += 1
      if byte == UInt8(ascii: "%") {
        guard text.count - read >= 2, let high = ASCII.hexadecimal(text[read]),
          let low = ASCII.hexadecimal(text[read + 1])
        else { return false }
        byte = high << 4 | low
        read += 2
      }
      guard byte == name.utf8Start[matched] else { return false }
      matched += 1
    }
    return read == text.count && matched == name.utf8CodeUnitCount
  }

  /// Whether decoding would change `text`: if not, its bytes can be used where they stand. They are ASCII then
  /// if they come from a parsed head.
  public static func isEncoded(_ text: UnsafeRawBufferPointer, plusIsSpace: Bool = false) -> Bool {
    text.contains { $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+")) }
  }

  private static func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.withMemoryRebound(to: UInt8.self) { buffer in
      do {
        _ = try UTF8Span(validating: buffer.span)
        return true
      } catch {
        return false
      }
    }
  }
}

/// The segments of a path, between its slashes, still encoded: `/a//b` has `a`, an empty one, and `b`.
/// Runs count from the buffer that `path` counts from.
public struct PathSegments: IteratorProtocol {
  private let bytes: UnsafeRawBufferPointer
  private var cursor: Int
  private let end: Int

  /// `path` in `bytes`, as in `RequestHead`; a leading slash is not a segment.
  public init(_ path: ByteRun, in bytes: UnsafeRawBufferPointer) {
    precondition(path.end <= bytes.count, "a run beyond its buffer")
    self.bytes = bytes
    end = path.end
    let slashed = !path.isEmpty && bytes[path.start] == UInt8(ascii: "/")
    cursor = slashed ? path.start + 1 : path.start
  }

  /// What has not been walked over: the rest of the path from its next segment on.
  public var rest: ByteRun { ByteRun(min(cursor, end), end) }

  public mutating func next() -> ByteRun? {
    guard cursor <= end else { return nil }
    let start = cursor
    var stop = start
    while stop < end, bytes[stop] != UInt8(ascii: "/") { stop += 1 }
    cursor = stop + 1
    return ByteRun(start, stop)
  }
}

/// The `name=value` items of a query (WHATWG URL, `application/x-www-form-urlencoded`), still encoded: empty
/// items are left out, an item without `=` has an empty value, and further `=` belong to the value.
public struct QueryItems: IteratorProtocol {
  public struct Item: Equatable, Sendable {
    public let name: ByteRun
    public let value: ByteRun
  }

  private let bytes: UnsafeRawBufferPointer
  private var start: Int
  private let end: Int

  public init(_ query: ByteRun, in bytes: UnsafeRawBufferPointer) {
    precondition(query.end <= bytes.count, "a run beyond its buffer")
    self.bytes = bytes
    start = query.start
    end = query.end
  }

  public mutating func next() -> Item? {
    while start < end {
      let from = start
      var stop = from
      var equals: Int?
      while stop < end, bytes[stop] != UInt8(ascii: "&") {
        if equals == nil, bytes[stop] == UInt8(ascii: "=") { equals = stop }
        stop += 1
      }
      start = stop + 1
      if stop == from { continue }
      return Item(name: ByteRun(from, equals ?? stop), value: ByteRun(min((equals ?? stop) + 1, stop), stop))
    }
    return nil
  }
}
