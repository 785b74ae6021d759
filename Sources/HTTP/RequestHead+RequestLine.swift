internal import CBytes

extension RequestHead {
  /// Takes apart `method SP target SP version` (RFC 9112, section 3), one space each.
  mutating func readRequestLine(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) throws(HTTPError) {
    let methodEnd = engram_scan_token(base, start, end)
    guard methodEnd > start else { throw .malformedMethod }
    guard methodEnd < end else { throw .malformedRequestLine }
    guard RequestHead.byte(base, methodEnd) == ASCII.space else { throw .malformedMethod }
    let targetStart = methodEnd + 1
    let targetEnd = engram_scan_target(base, targetStart, end)
    guard targetEnd > targetStart else {
      throw targetEnd < end && RequestHead.byte(base, targetEnd) != ASCII.space
        ? .malformedTarget : .malformedRequestLine
    }
    guard targetEnd < end else { throw .malformedRequestLine }
    guard RequestHead.byte(base, targetEnd) == ASCII.space else { throw .malformedTarget }

    minorVersion = try RequestHead.version(base, targetEnd + 1, end)
    methodText = ByteRun(start, methodEnd)
    target = ByteRun(targetStart, targetEnd)
    method = try RequestHead.method(base + start, methodEnd - start)
    try readTarget(base, targetStart, targetEnd)
  }

  /// The minor version, at most 1, or an error for other protocols (the preface of HTTP/2 among them).
  private static func version(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) throws(HTTPError) -> UInt8 {
    guard end - start == 8 else { throw .malformedVersion }
    let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt64.self))
    if word == 0x312e_312f_5054_5448 { return 1 }  // HTTP/1.1
    if word == 0x302e_312f_5054_5448 { return 0 }  // HTTP/1.0
    let major = byte(base, start + 5)
    guard word & 0x00ff_00ff_ffff_ffff == 0x002e_002f_5054_5448, ASCII.isDigit(major),
      ASCII.isDigit(byte(base, start + 7))
    else { throw .malformedVersion }
    guard major == UInt8(ascii: "1") else { throw .unsupportedVersion }
    return 1
  }

  private static func method(_ bytes: UnsafeRawPointer, _ count: Int) throws(HTTPError) -> Method {
    let known: Method? =
      switch count {
      case 3: word(bytes, 3) == 0x54_4547 ? .get : word(bytes, 3) == 0x54_5550 ? .put : nil
      case 4: word(bytes, 4) == 0x5453_4f50 ? .post : word(bytes, 4) == 0x4441_4548 ? .head : nil
      case 5: spells(bytes, "PATCH") ? .patch : spells(bytes, "TRACE") ? .trace : nil
      case 6: spells(bytes, "DELETE") ? .delete : nil
      case 7: spells(bytes, "OPTIONS") ? .options : spells(bytes, "CONNECT") ? .connect : nil
      default: nil
      }
    if let known { return known }
    // Methods are case-sensitive, and none has small letters. A proxy in front that took `get` for GET would
    // see another request than this server: such a peer is not talked to.
    for index in 0..<count where bytes.load(fromByteOffset: index, as: UInt8.self) &- 0x61 < 26 {
      throw .unknownMethod
    }
    return .other
  }

  /// 3 or 4 bytes in the order of memory, the first lowest.
  @inline(__always) private static func word(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt32 {
    // A space and a target follow the method: there is a fourth byte.
    let word = UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
    return count == 3 ? word & 0xff_ffff : word
  }

  private static func spells(_ bytes: UnsafeRawPointer, _ name: StaticString) -> Bool {
    ASCII.equal(UnsafeRawBufferPointer(start: bytes, count: name.utf8CodeUnitCount), name)
  }

  /// The four forms of a target (RFC 9112, section 3.2). Characters that a URI must encode, but which
  /// browsers send as they are (`|`, `[`, `{` and such), pass.
  private mutating func readTarget(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) throws(HTTPError) {
    if method == .connect {
      let whole = UnsafeRawBufferPointer(start: base + start, count: end - start)
      guard try Authority.check(whole) else { throw .wrongTargetForm }
      authority = ByteRun(start, end)
      path = ByteRun(end, end)
      query = ByteRun(end, end)
      return
    }
    if RequestHead.byte(base, start) == UInt8(ascii: "/") { return split(base, start, end) }
    if RequestHead.byte(base, start) == UInt8(ascii: "*"), end - start == 1 {
      guard method == .options else { throw .wrongTargetForm }
      return split(base, start, end)
    }
    let scheme = engram_scan_byte(base, start, end, UInt8(ascii: ":"))
    let name = UnsafeRawBufferPointer(start: base + start, count: scheme - start)
    let slashes = scheme + 1
    guard ASCII.equalIgnoringCase(name, "http") || ASCII.equalIgnoringCase(name, "https"), slashes + 2 <= end,
      RequestHead.byte(base, slashes) == UInt8(ascii: "/"),
      RequestHead.byte(base, slashes + 1) == UInt8(ascii: "/")
    else { throw .wrongTargetForm }
    let from = slashes + 2
    var stop = from
    while stop < end, RequestHead.byte(base, stop) != UInt8(ascii: "/"),
      RequestHead.byte(base, stop) != UInt8(ascii: "?")
    { stop += 1 }
    _ = try Authority.check(UnsafeRawBufferPointer(start: base + from, count: stop - from))
    authority = ByteRun(from, stop)
    split(base, stop, end)
    // An absolute target without a path means "/": the second slash of its "//" lends itself.
    if path.isEmpty { path = ByteRun(slashes + 1, slashes + 2) }
  }

  private mutating func split(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
    let mark = engram_scan_byte(base, start, end, UInt8(ascii: "?"))
    path = ByteRun(start, mark)
    query = ByteRun(min(mark + 1, end), end)
  }

  @inline(__always) private static func byte(_ base: UnsafeRawPointer, _ offset: Int) -> UInt8 {
    base.load(fromByteOffset: offset, as: UInt8.self)
  }
}
