public import Bytes

/// An error as a client is told it (RFC 9457). Made on the way out of a failed request only, so it may allocate.
public struct Problem: Error, Hashable, Sendable {
  /// A field at fault: `pointer` is a JSON pointer (RFC 6901) into the request's body.
  public struct Field: Hashable, Sendable {
    public var pointer: String
    public var detail: String
    public init(pointer: String, detail: String) {
      self.pointer = pointer
      self.detail = detail
    }
  }

  /// A member of the body beyond those of every problem (RFC 9457, section 3.2).
  public struct Member: Hashable, Sendable {
    public enum Value: Hashable, Sendable {
      case text(String)
      case texts([String])
    }
    public var name: String
    public var value: Value
    public init(_ name: String, _ value: Value) {
      self.name = name
      self.value = value
    }
  }

  /// `Content-Type` of the body.
  public static let mediaType: StaticString = "application/problem+json"
  /// What stands before the code in the `type` member: a name, not an address to fetch.
  public static let typePrefix: StaticString = "urn:engram:problem:"

  public var code: ErrorCode
  public var detail: String
  public var errors: [Field]
  public var members: [Member]

  public init(_ code: ErrorCode, _ detail: String, errors: [Field] = [], members: [Member] = []) {
    self.code = code
    self.detail = detail
    self.errors = errors
    self.members = members
  }

  /// A problem with one field.
  public init(_ code: ErrorCode = .invalidRequest, at pointer: String, _ detail: String) {
    self.init(code, "\(pointer) \(detail)", errors: [Field(pointer: pointer, detail: detail)])
  }

  /// A body that isn't acceptable JSON.
  public init(_ error: JSONError) {
    self.init(.invalidRequest, "The body is not valid JSON: \(error.detail)")
  }

  /// The JSON pointer to a member called `name`, from where it stands (RFC 6901, section 3).
  public static func pointer(to name: String) -> String {
    var text = "/"
    for scalar in name.unicodeScalars {
      switch scalar {
      case "~": text += "~0"
      case "/": text += "~1"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  public var status: Int { code.status }

  /// The body, one line. `requestID`: valid UTF-8. `status`: where it isn't the code's own.
  public func json(requestID: UnsafeRawBufferPointer, status: Int? = nil) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: bytesMax(requestID: requestID)) { memory, count in
      guard let base = memory.baseAddress else { return }
      var out = ByteWriter(base, capacity: memory.count)
      write(to: &out, requestID: requestID, status: status)
      count = out.count
    }
  }

  /// Room that `write` needs at most, in bytes.
  public func bytesMax(requestID: UnsafeRawBufferPointer) -> Int {
    // A byte of text becomes six at worst. 512 hold every name, title and bracket.
    let fields = errors.reduce(512 + 6 * (detail.utf8.count + requestID.count)) {
      $0 + 64 + 6 * ($1.pointer.utf8.count + $1.detail.utf8.count)
    }
    return members.reduce(fields) { $0 + $1.bytesMax }
  }

  /// Writes the body, one line. Requires `bytesMax` bytes of room.
  public func write(to out: inout ByteWriter, requestID: UnsafeRawBufferPointer, status: Int? = nil) {
    out.run("{\"type\":\"")
    out.run(Self.typePrefix)
    out.run(code.name)
    out.run("\",\"title\":\"")
    out.run(code.title)
    out.run("\",\"status\":")
    out.decimal(UInt64(status ?? code.status))
    out.run(",\"detail\":")
    out.quoted(detail)
    out.run(",\"code\":\"")
    out.run(code.name)
    out.run("\",\"request_id\":")
    JSONText.writeQuoted(requestID, to: &out)
    if !errors.isEmpty {
      out.run(",\"errors\":[")
      for (n, field) in errors.enumerated() {
        out.run(n == 0 ? "{\"pointer\":" : ",{\"pointer\":")
        out.quoted(field.pointer)
        out.run(",\"detail\":")
        out.quoted(field.detail)
        out.run("}")
      }
      out.run("]")
    }
    for member in members { member.write(to: &out) }
    out.run("}")
  }
}

extension Problem.Member {
  fileprivate var bytesMax: Int {
    let texts: [String]
    switch value {
    case .text(let text): texts = [text]
    case .texts(let several): texts = several
    }
    return texts.reduce(16 + name.utf8.count) { $0 + 8 + 6 * $1.utf8.count }
  }

  fileprivate func write(to out: inout ByteWriter) {
    out.run(",")
    out.quoted(name)
    out.run(":")
    switch value {
    case .text(let text): out.quoted(text)
    case .texts(let texts):
      out.run("[")
      for (place, text) in texts.enumerated() {
        if place > 0 { out.run(",") }
        out.quoted(text)
      }
      out.run("]")
    }
  }
}

extension ByteWriter {
  /// Writes a string token for `text`.
  mutating func quoted(_ text: String) {
    var text = text
    text.withUTF8 { JSONText.writeQuoted(UnsafeRawBufferPointer($0), to: &self) }
  }

  /// Writes a number in decimal: at most 20 bytes.
  @inline(__always)
  mutating func decimal(_ value: UInt64) {
    run(Decimal(value))
  }

  @inline(__always)
  private mutating func run(_ decimal: Decimal) {
    withUnsafeBytes(of: decimal.text) { text in
      run(UnsafeRawBufferPointer(rebasing: text[text.count - decimal.count..<text.count]))
    }
  }
}

/// A number's decimal digits, at the end of 24 bytes.
private struct Decimal {
  var text: (UInt64, UInt64, UInt64) = (0, 0, 0)
  var count = 0

  @inline(__always)
  init(_ value: UInt64) {
    var rest = value
    var at = 24
    withUnsafeMutableBytes(of: &text) { text in
      repeat {
        at -= 1
        text[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
    }
    count = 24 - at
  }
}
