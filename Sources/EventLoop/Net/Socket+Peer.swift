internal import Glibc

/// An address without a port: 128 bits of IPv6, in which IPv4 is mapped (RFC 4291, section 2.5.5.2).
public struct HostAddress: Hashable, Sendable {
  public let high: UInt64
  public let low: UInt64
}

extension Socket {
  /// Who is at the other end (getpeername(2)): one system call. Nil when it has gone. Loop thread.
  public var peerHost: HostAddress? {
    guard state.isDisjoint(with: .noDescriptor) else { return nil }
    return SocketAddress(of: descriptor, peer: true)?.host
  }
}

extension SocketAddress {
  var host: HostAddress? {
    withUnsafeBytes(of: storage) { bytes in
      func word(_ offset: Int) -> UInt64 {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      }
      switch family {
      case AF_INET:
        // sockaddr_in: family, port, address.
        let number = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        return HostAddress(high: 0, low: 0xffff_0000_0000 | UInt64(number))
      case AF_INET6:
        // sockaddr_in6: family, port, flow, address.
        return HostAddress(high: word(8), low: word(16))
      default: return nil
      }
    }
  }
}
