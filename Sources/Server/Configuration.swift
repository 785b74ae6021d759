public import Access

/// What a server is run with.
public struct Configuration: Sendable {
  /// An IPv4 or IPv6 literal.
  public var address = "127.0.0.1"
  public var port: UInt16 = 8080
  public var dataDirectory = "./data"
  public var loops = 1
  /// Whether units are indexed, and `POST /search` answers.
  public var search = true
  public var version = "0"
  public var connections = ConnectionLimits()
  /// Who may do what; nil: authentication is off.
  public var access: AccessControl?

  public init() {}

  /// Whether the address is this machine's own: the only place where a server without TLS and authentication
  /// may listen.
  public var isLoopback: Bool {
    address.hasPrefix("127.") || address == "::1" || address == "0:0:0:0:0:0:0:1"
  }

  /// `address:port`, with brackets around IPv6.
  public var listen: String { address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)" }

  /// Reads `127.0.0.1:8080`, `[::1]:8080`, or `localhost:8080`; nil if it is none of them.
  public static func parseListen(_ text: String) -> (address: String, port: UInt16)? {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
      return nil
    }
    var address = String(text[..<colon])
    if address.hasPrefix("["), address.hasSuffix("]") {
      address = String(address.dropFirst().dropLast())
      guard address.contains(":") else { return nil }
    } else if address.contains(":") {
      return nil
    }
    if address == "localhost" { address = "127.0.0.1" }
    return address.isEmpty ? nil : (address, port)
  }
}
