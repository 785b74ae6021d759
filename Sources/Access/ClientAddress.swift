internal import Glibc

/// The address of a peer, without its port: 128 bits of IPv6, in which IPv4 is mapped (RFC 4291, section 2.5.5.2).
public struct ClientAddress: Hashable, Sendable {
  public let high: UInt64
  public let low: UInt64

  /// - Parameters: the halves as numbers: `::1` is 0 and 1.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Of a peer that nothing is known of, as it has gone already: `::`.
  public static let unknown = ClientAddress(high: 0, low: 0)

  private static let mappedPrefix: UInt64 = 0xffff

  public init(ipv4 number: UInt32) {
    self.init(high: 0, low: ClientAddress.mappedPrefix << 32 | UInt64(number))
  }

  public var isIPv4: Bool { high == 0 && low >> 32 == ClientAddress.mappedPrefix }

  /// What limits are counted for: all of an IPv4 address, and of IPv6 the network of 64 bits, since whoever has one
  /// address of it has all (RFC 6177, section 2).
  public var network: ClientAddress {
    isIPv4 || (high == 0 && low <= 1) ? self : ClientAddress(high: high, low: 0)
  }

  /// As `inet_ntop` writes it; IPv4 without the prefix. Makes a String: cold.
  public var text: String {
    if isIPv4 {
      let parts = [24, 16, 8, 0].map { String(UInt8(truncatingIfNeeded: low >> $0)) }
      return parts.joined(separator: ".")
    }
    var address = in6_addr()
    withUnsafeMutableBytes(of: &address) {
      $0.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
      $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(AF_INET6, &address, &text, socklen_t(text.count)) != nil else { return "unknown" }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
