/// Request methods (RFC 9110, section 9; RFC 5789).
public enum Method: UInt8, Sendable, CaseIterable {
  case get, head, post, put, patch, delete, options, connect, trace
  /// A token in upper case that is none of these: `RequestHead.methodText` has it.
  case other
}

/// How the length of a request body is known (RFC 9112, section 6.3).
public enum BodyFraming: Equatable, Sendable {
  /// Neither Content-Length nor Transfer-Encoding: there is no body.
  case none
  /// Exactly this many bytes, perhaps 0.
  case length(UInt64)
  case chunked

  /// Whether the head alone shows a body of more than `bytes` bytes.
  public func exceeds(_ bytes: UInt64) -> Bool {
    if case .length(let length) = self { return length > bytes }
    return false
  }
}

/// A parsed request head: where everything stands in the bytes that were parsed, which the caller keeps.
///
/// Storage for the fields (about 1 KB) is allocated once with the value and used again by every parse, which
/// is why it can't be copied: a driver has one per connection, lends it to the handler, and parses the next
/// head into it when the answer is decided. All runs lie in the buffer given to `HeadParser.parse`; they count
/// from its first byte. Any one thread at a time.
public struct RequestHead: ~Copyable, @unchecked Sendable {
  public internal(set) var method = Method.get
  public internal(set) var methodText = ByteRun(offset: 0, length: 0)
  /// The whole request target as sent.
  public internal(set) var target = ByteRun(offset: 0, length: 0)
  /// The path, still percent-encoded, without the query. Begins with `/`, except that it is `*` for
  /// `OPTIONS *` and empty for CONNECT.
  public internal(set) var path = ByteRun(offset: 0, length: 0)
  /// What follows the first `?` of the target; empty also when there is none.
  public internal(set) var query = ByteRun(offset: 0, length: 0)
  /// The authority of an absolute target or of CONNECT, else empty.
  public internal(set) var authority = ByteRun(offset: 0, length: 0)
  /// 0 for HTTP/1.0, else 1: a later 1.x is answered as 1.1 (RFC 9110, section 2.5).
  public internal(set) var minorVersion: UInt8 = 1
  /// Whether the peer lets the connection live on after the answer.
  public internal(set) var keepAlive = true
  /// Whether the peer waits for `100 Continue` before it sends the body. Never without a body or in HTTP/1.0.
  public internal(set) var expectsContinue = false
  /// Whether `Connection` names `upgrade` and there is an `Upgrade` field to say to what.
  public internal(set) var asksUpgrade = false
  public internal(set) var body = BodyFraming.none
  public internal(set) var fieldCount = 0

  struct Field {
    var name: UInt16
    var value: UInt16
    var valueLength: UInt16
    var nameLength: UInt8
    var known: UInt8
  }

  static let absent: UInt8 = 0xff
  static let fieldsMax = 254

  let fields: UnsafeMutablePointer<Field>
  /// For each `KnownField` the index of its first line, or `absent`.
  let known: UnsafeMutablePointer<UInt8>
  let names = KnownFieldIndex.shared
  let capacity: Int

  /// Storage for heads of at most `fieldsMax` lines: the limit that the parser enforces, or more.
  public init(fieldsMax: Int = Int(HTTPLimits().fieldsMax)) {
    precondition((1...RequestHead.fieldsMax).contains(fieldsMax))
    capacity = fieldsMax
    fields = .allocate(capacity: fieldsMax)
    known = .allocate(capacity: KnownField.count)
    known.initialize(repeating: RequestHead.absent, count: KnownField.count)
  }

  deinit {
    fields.deallocate()
    known.deallocate()
  }

  mutating func clear() {
    known.update(repeating: RequestHead.absent, count: KnownField.count)
    fieldCount = 0
    authority = ByteRun(offset: 0, length: 0)
    keepAlive = true
    expectsContinue = false
    asksUpgrade = false
    body = .none
  }
}

extension RequestHead {
  /// The value of the first line of `field`, without the white space around it, or `nil`.
  public subscript(field: KnownField) -> ByteRun? {
    let index = known[Int(field.rawValue)]
    return index == RequestHead.absent ? nil : value(at: Int(index))
  }

  /// Whether there is a line of `field`.
  public func has(_ field: KnownField) -> Bool { known[Int(field.rawValue)] != RequestHead.absent }

  /// The value of a field that may stand once: `nil` if there is none.
  /// Throws `repeatedField` if there are more, since two readers could then take different ones.
  public func single(_ field: KnownField) throws(HTTPError) -> ByteRun? {
    guard let first = index(of: field) else { return nil }
    guard index(of: field, after: first) == nil else { throw .repeatedField }
    return value(at: first)
  }

  /// The index of the first line of `field` beyond index `previous`, or `nil`: a walk over repeated lines.
  public func index(of field: KnownField, after previous: Int = -1) -> Int? {
    let first = known[Int(field.rawValue)]
    guard first != RequestHead.absent else { return nil }
    var index = max(previous + 1, Int(first))
    while index < fieldCount {
      if fields[index].known == field.rawValue { return index }
      index += 1
    }
    return nil
  }

  /// The index of the first line beyond `previous` whose name is `name` (in lower case), or `nil`. `bytes` is
  /// the buffer that was parsed. Costs a look at every line: known fields are found faster by `KnownField`.
  public func index(
    named name: StaticString, in bytes: UnsafeRawBufferPointer, after previous: Int = -1
  ) -> Int? {
    var index = max(previous + 1, 0)
    while index < fieldCount {
      if ASCII.equalIgnoringCase(self.name(at: index).bytes(in: bytes), name) { return index }
      index += 1
    }
    return nil
  }

  /// The name of line `index` as sent. Requires `0 ..< fieldCount`.
  public func name(at index: Int) -> ByteRun {
    precondition(index >= 0 && index < fieldCount, "no such field")
    let field = fields[index]
    return ByteRun(offset: UInt32(field.name), length: UInt32(field.nameLength))
  }

  /// The value of line `index`, trimmed. Requires `0 ..< fieldCount`.
  public func value(at index: Int) -> ByteRun {
    precondition(index >= 0 && index < fieldCount, "no such field")
    let field = fields[index]
    return ByteRun(offset: UInt32(field.value), length: UInt32(field.valueLength))
  }

  /// Whether a member of the comma-separated lists in all lines of `field` is `token` (in lower case), in any
  /// case. Parameters are part of a member: this is for Connection, Upgrade, Sec-WebSocket-Protocol and the like.
  public func lists(_ token: StaticString, in field: KnownField, bytes: UnsafeRawBufferPointer) -> Bool {
    var line = index(of: field)
    while let index = line {
      var members = ListMembers(value(at: index).bytes(in: bytes))
      while let member = members.next() {
        if ASCII.equalIgnoringCase(member, token) { return true }
      }
      line = self.index(of: field, after: index)
    }
    return false
  }
}

/// The members of a comma-separated list (RFC 9110, section 5.6.1), trimmed, empty ones left out. Commas inside
/// quoted strings are not understood: for lists of tokens.
public struct ListMembers: IteratorProtocol {
  private var rest: UnsafeRawBufferPointer

  public init(_ list: UnsafeRawBufferPointer) { rest = list }

  public mutating func next() -> UnsafeRawBufferPointer? {
    while !rest.isEmpty {
      let comma = rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.count
      let member = trimmed(UnsafeRawBufferPointer(rebasing: rest[..<comma]))
      rest = UnsafeRawBufferPointer(rebasing: rest[min(comma + 1, rest.count)...])
      if !member.isEmpty { return member }
    }
    return nil
  }

  private func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var start = 0
    var end = bytes.count
    while start < end, bytes[start] == ASCII.space || bytes[start] == ASCII.tab { start += 1 }
    while end > start, bytes[end - 1] == ASCII.space || bytes[end - 1] == ASCII.tab { end -= 1 }
    return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }
}
