/// What stands in `Authorization` (RFC 9110, section 11.6.2; RFC 6750, section 2.1).
public enum BearerField {
  private static let scheme: StaticString = "bearer"

  /// The credential of a field's value: `Bearer`, in any case, spaces, and characters of `b64token` only.
  /// - Parameter value: the value without white space around it; a request with several such fields has none.
  /// - Returns: a part of `value`.
  public static func credential(
    _ value: UnsafeRawBufferPointer
  ) throws(AuthenticationFailure) -> UnsafeRawBufferPointer {
    let count = scheme.utf8CodeUnitCount
    guard value.count > count, value[count] == UInt8(ascii: " ") else { throw .malformedField }
    for place in 0..<count where value[place] | 0x20 != scheme.utf8Start[place] { throw .malformedField }
    var start = count
    while start < value.count, value[start] == UInt8(ascii: " ") { start += 1 }
    let credential = UnsafeRawBufferPointer(rebasing: value[start...])
    guard credential.count <= max(CredentialLimits.jwtBytesMax, CredentialLimits.tokenBytesMax) else {
      throw .oversize
    }
    guard isToken(credential) else { throw .malformedField }
    return credential
  }

  /// Whether the bytes are `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
  public static func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var end = bytes.count
    while end > 0, bytes[end - 1] == UInt8(ascii: "=") { end -= 1 }
    guard end > 0 else { return false }
    return bytes[..<end].allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"): true
      default: byte == UInt8(ascii: "/")
      }
    }
  }
}
