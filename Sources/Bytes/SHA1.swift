internal import CBytes

/// SHA-1 (RFC 3174). Collisions of it can be made: it proves nothing, and is only for protocols that ask for it, such
/// as the handshake of WebSocket.
public enum SHA1 {
  public static let digestBytes = 20

  /// The 20 bytes of the digest.
  public static func digest(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: digestBytes) { digest, count in
      engram_sha1(digest.baseAddress, bytes.baseAddress, bytes.count)
      count = digestBytes
    }
  }
}
