internal import Glibc

/// An address and a port to listen on.
public struct ListenAddress: Hashable, Sendable {
  /// An IPv4 or IPv6 literal.
  public var address: String
  public var port: UInt16

  public init(address: String, port: UInt16) {
    self.address = address
    self.port = port
  }

  /// Reads `127.0.0.1:8080`, `[::1]:8080`, or `localhost:8080`; nil if it is none of them.
  public init?(_ text: String) {
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
    guard !address.isEmpty else { return nil }
    self.init(address: address, port: port)
  }

  /// Whether the address is this machine's own: the only place where a server without TLS and authentication
  /// may listen. Of IPv4 127.0.0.0/8, of IPv6 `::1`; an IPv4 address in IPv6 clothes is not.
  public var isLoopback: Bool {
    var four = in_addr()
    if inet_pton(AF_INET, address, &four) == 1 { return UInt32(bigEndian: four.s_addr) >> 24 == 127 }
    var six = in6_addr()
    guard inet_pton(AF_INET6, address, &six) == 1 else { return false }
    return withUnsafeBytes(of: six) { bytes in
      bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
    }
  }

  /// `address:port`, with brackets around IPv6.
  public var text: String { address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)" }
}
