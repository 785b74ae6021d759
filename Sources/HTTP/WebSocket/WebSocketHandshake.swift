public import Bytes

/// Why a request is no opening handshake that can be answered: the closed list.
public enum WebSocketRefusal: UInt8, Error, Equatable, Sendable, CaseIterable {
  case notGet, oldVersion, notAsked, otherProtocol, hasBody, missingKey, invalidKey, repeatedField,
    otherVersion

  /// The status code of the answer. A 426 carries `WebSocketHandshake.versionField`, `Upgrade: websocket` and
  /// `Connection: Upgrade` (RFC 6455, section 4.4; RFC 9110, section 15.5.22).
  public var status: Status {
    switch self {
    case .notGet: .methodNotAllowed
    case .otherVersion: .upgradeRequired
    default: .badRequest
    }
  }

  /// One short sentence for the `detail` of the answer.
  public var reason: StaticString {
    switch self {
    case .notGet: "a WebSocket is opened by GET"
    case .oldVersion: "a WebSocket is opened by HTTP/1.1"
    case .notAsked: "Connection does not list 'Upgrade', or there is no Upgrade field"
    case .otherProtocol: "no protocol but 'websocket' can be upgraded to"
    case .hasBody: "a request that opens a WebSocket has no body"
    case .missingKey: "Sec-WebSocket-Key is missing"
    case .invalidKey: "Sec-WebSocket-Key is not 16 bytes in base64"
    case .repeatedField: "a field of the handshake that may stand once is repeated"
    case .otherVersion: "only version 13 of WebSocket is spoken here"
    }
  }
}

/// The server's part of the opening handshake (RFC 6455, section 4.2). Extensions are offered in vain: none is
/// answered, so none is used.
///
/// The caller checks `Origin`, if it wants to: a browser sends it, and lets any page open any WebSocket.
public struct WebSocketHandshake: Equatable, Sendable {
  /// The only subprotocol spoken here.
  public static let subprotocol: StaticString = "engram.v1+json"
  /// Name and value of the field of a 426 that says which version is spoken.
  public static let versionField: (name: StaticString, value: StaticString) = ("Sec-WebSocket-Version", "13")
  /// Room that `write` never exceeds, the value of X-Request-ID not counted.
  public static let headBytesMax = ResponseHead.bytesMax + 128

  private static let keyBytes = 16
  /// Section 1.3.
  private static let guid: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

  /// The value of Sec-WebSocket-Accept: 28 bytes.
  public let accept: [UInt8]
  /// Whether the subprotocol was offered, and so is chosen. A client that offers none or others gets none, and may then
  /// close (section 4.1): the frames are the same.
  public let choosesSubprotocol: Bool

  /// Reads the handshake out of a head, whose runs lie in `bytes`. Throws why it can't be answered.
  public init(_ head: borrowing RequestHead, _ bytes: UnsafeRawBufferPointer) throws(WebSocketRefusal) {
    guard head.method == .get else { throw .notGet }
    guard head.minorVersion > 0 else { throw .oldVersion }
    guard head.asksUpgrade else { throw .notAsked }
    guard head.lists("websocket", in: .upgrade, bytes: bytes) else { throw .otherProtocol }
    guard head.body == .none || head.body == .length(0) else { throw .hasBody }
    let version: ByteRun?
    let key: ByteRun?
    do throws(HTTPError) {
      version = try head.single(.secWebSocketVersion)
      key = try head.single(.secWebSocketKey)
    } catch {
      throw .repeatedField
    }
    // Before the key: what older drafts did with it is not to be judged by this one.
    guard let version, ASCII.equal(version.bytes(in: bytes), WebSocketHandshake.versionField.value) else {
      throw .otherVersion
    }
    guard let key else { throw .missingKey }
    guard let accept = WebSocketHandshake.accept(key.bytes(in: bytes)) else { throw .invalidKey }
    self.accept = accept
    // Names of subprotocols are compared as they are written (section 11.5).
    choosesSubprotocol = WebSocketHandshake.offers(head, bytes)
  }

  private static func offers(_ head: borrowing RequestHead, _ bytes: UnsafeRawBufferPointer) -> Bool {
    var line = head.index(of: .secWebSocketProtocol)
    while let index = line {
      var members = ListMembers(head.value(at: index).bytes(in: bytes))
      while let member = members.next() {
        if ASCII.equal(member, subprotocol) { return true }
      }
      line = head.index(of: .secWebSocketProtocol, after: index)
    }
    return false
  }

  /// The answer to `key` (section 4.2.2), or `nil` if it isn't 16 bytes in base64.
  static func accept(_ key: UnsafeRawBufferPointer) -> [UInt8]? {
    guard Base64.decodedCount(key) == keyBytes else { return nil }
    let isBase64 = withUnsafeTemporaryAllocation(byteCount: keyBytes, alignment: 1) { decoded in
      Base64.decode(key, into: decoded) != nil
    }
    guard isBase64 else { return nil }
    let joined = [UInt8](key) + UnsafeBufferPointer(start: guid.utf8Start, count: guid.utf8CodeUnitCount)
    return joined.withUnsafeBytes { SHA1.digest($0) }.withUnsafeBytes { Base64.encode($0) }
  }

  /// Writes the head of the 101, behind which frames follow. An empty `requestID` leaves X-Request-ID out.
  public func write(
    to writer: inout ByteWriter, date: borrowing DateCache, requestID: UnsafeRawBufferPointer
  ) {
    ResponseHead(.switchingProtocols, persistence: .upgrade).begin(&writer, date: date, requestID: requestID)
    writer.field("Upgrade", "websocket")
    accept.withUnsafeBytes { writer.field("Sec-WebSocket-Accept", $0) }
    if choosesSubprotocol { writer.field("Sec-WebSocket-Protocol", WebSocketHandshake.subprotocol) }
    writer.endHead()
  }
}
