internal import CIOUring
internal import Glibc

/// Why a port could not be listened on.
public struct ListenError: Error, Sendable, CustomStringConvertible {
  public let code: Int32
  public let operation: String
  public let address: String
  public let port: UInt16

  public var description: String {
    let cause =
      switch code {
      case EADDRINUSE: "another process listens on it"
      case EADDRNOTAVAIL: "this machine doesn't have that address"
      case EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE"
      case EINVAL: "not an IPv4 or IPv6 address"
      default: String(cString: strerror(code))
      }
    return "\(address) port \(port): \(cause) (\(operation), errno \(code))"
  }
}

/// An IPv4 or IPv6 address with a port, as the kernel wants it.
struct SocketAddress {
  var storage = sockaddr_storage()
  var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

  /// Nil when `literal` is not the text of an address: names are not looked up.
  init?(literal: String, port: UInt16) {
    // getaddrinfo also takes the short forms of inet_aton ("1.2.3"), which nobody means.
    var four = in_addr()
    let isFour = inet_pton(AF_INET, literal, &four) == 1
    var hints = addrinfo()
    hints.ai_family = isFour ? AF_INET : AF_INET6
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(literal, String(port), &hints, &found) == 0, let found else { return nil }
    defer { freeaddrinfo(found) }
    guard let address = found.pointee.ai_addr, found.pointee.ai_addrlen <= length else { return nil }
    length = found.pointee.ai_addrlen
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(length)))
    }
  }

  /// Of the peer of `descriptor` (getpeername), or of its own end (getsockname).
  init?(of descriptor: Int32, peer: Bool) {
    let result = withUnsafeMutablePointer(to: &storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        peer ? getpeername(descriptor, $0, &length) : getsockname(descriptor, $0, &length)
      }
    }
    guard result == 0 else { return nil }
  }

  var family: Int32 { Int32(storage.ss_family) }

  func with<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    withUnsafePointer(to: storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }

  var port: UInt16 {
    withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
  }

  /// "192.0.2.1:80" or "[2001:db8::1]:80".
  var text: String {
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let result = with { getnameinfo($0, $1, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) }
    guard result == 0 else { return "unknown" }
    let name = String(decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return family == AF_INET6 ? "[\(name)]:\(port)" : "\(name):\(port)"
  }
}
