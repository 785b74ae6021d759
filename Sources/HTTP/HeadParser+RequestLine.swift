internal import CBytes

extension HeadParser {
  /// Takes apart `method SP target SP version` (RFC 9112, section 3), one space each.
  func requestLine(
    _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ head: inout RequestHead
  ) throws(HTTPError) {
    let methodEnd = engram_scan_token(base, start, end)
    guard methodEnd > start else { throw .malformedMethod }
    guard methodEnd < end else { throw .malformedRequestLine }
    guard byte(base, methodEnd) == ASCII.space else { throw .malformedMethod }
    let targetStart = methodEnd + 1
    let targetEnd = engram_scan_target(base, targetStart, end)
    guard targetEnd > targetStart else {
      throw targetEnd < end && byte(base, targetEnd) != ASCII.space ? .malformedTarget : .malformedRequestLine
    }
    guard targetEnd < end else { throw .malformedRequestLine }
    guard byte(base, targetEnd) == ASCII.space else { throw .malformedTarget }

    head.minorVersion = try version(base, targetEnd + 1, end)
    head.methodText = ByteRun(start, methodEnd)
    head.target = ByteRun(targetStart, targetEnd)
    head.method = try method(base + start, methodEnd - start)
    try target(base, targetStart, targetEnd, &head)
  }

  /// The minor version, at most 1, or an error for other protocols (the preface of HTTP/2 among them).
  private func version(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) throws(HTTPError) -> UInt8 {
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

  private func method(_ bytes: UnsafeRawPointer, _ count: Int) throws(HTTPError) -> Method {
    func spells(_ name: StaticString) -> Bool {
      ASCII.equal(UnsafeRawBufferPointer(start: bytes, count: count), name)
    }
    switch count {
    case 3:
      if spells("GET") { return .get }
      if spells("PUT") { return .put }
    case 4:
      if spells("POST") { return .post }
      if spells("HEAD") { return .head }
    case 5:
      if spells("PATCH") { return .patch }
      if spells("TRACE") { return .trace }
    case 6:
      if spells("DELETE") { return .delete }
    case 7:
      if spells("OPTIONS") { return .options }
      if spells("CONNECT") { return .connect }
    default: break
    }
    // Methods are case-sensitive, and none has small letters. A proxy in front that took `get` for GET would
    // see another request than this server: such a peer is not talked to.
    for index in 0..<count where bytes.load(fromByteOffset: index, as: UInt8.self) &- 0x61 < 26 {
      throw .unknownMethod
    }
    return .other
  }

  /// The four forms of a target (RFC 9112, section 3.2). Characters that a URI must encode, but which
  /// browsers send as they are (`|`, `[`, `{` and such), pass.
  private func target(
    _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ head: inout RequestHead
  ) throws(HTTPError) {
    if head.method == .connect {
      let authority = UnsafeRawBufferPointer(start: base + start, count: end - start)
      guard try Authority.check(authority) else { throw .wrongTargetForm }
      head.authority = ByteRun(start, end)
      head.path = ByteRun(end, end)
      head.query = ByteRun(end, end)
      return
    }
    if byte(base, start) == UInt8(ascii: "/") { return split(base, start, end, &head) }
    if byte(base, start) == UInt8(ascii: "*"), end - start == 1 {
      guard head.method == .options else { throw .wrongTargetForm }
      return split(base, start, end, &head)
    }
    let scheme = engram_scan_byte(base, start, end, UInt8(ascii: ":"))
    let name = UnsafeRawBufferPointer(start: base + start, count: scheme - start)
    let slashes = scheme + 1
    guard ASCII.equalIgnoringCase(name, "http") || ASCII.equalIgnoringCase(name, "https"), slashes + 2 <= end,
      byte(base, slashes) == UInt8(ascii: "/"), byte(base, slashes + 1) == UInt8(ascii: "/")
    else { throw .wrongTargetForm }
    let authority = slashes + 2
    var stop = authority
    while stop < end, byte(base, stop) != UInt8(ascii: "/"), byte(base, stop) != UInt8(ascii: "?") { stop += 1 }
    _ = try Authority.check(UnsafeRawBufferPointer(start: base + authority, count: stop - authority))
    head.authority = ByteRun(authority, stop)
    split(base, stop, end, &head)
    // An absolute target without a path means "/": the second slash of its "//" lends itself.
    if head.path.isEmpty { head.path = ByteRun(slashes + 1, slashes + 2) }
  }

  private func split(_ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ head: inout RequestHead) {
    let mark = engram_scan_byte(base, start, end, UInt8(ascii: "?"))
    head.path = ByteRun(start, mark)
    head.query = ByteRun(min(mark + 1, end), end)
  }

  @inline(__always) func byte(_ base: UnsafeRawPointer, _ offset: Int) -> UInt8 {
    base.load(fromByteOffset: offset, as: UInt8.self)
  }
}
