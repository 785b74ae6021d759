internal import COpenSSL

/// The names that a client's certificate bears, as bytes. That the certificate is genuine and not out of date was
/// checked in the handshake.
public struct PeerCertificate: Sendable, Hashable {
  /// Alternative names (RFC 5280, section 4.2.1.6).
  public var uris: [[UInt8]] = []
  public var dnsNames: [[UInt8]] = []
  public var emails: [[UInt8]] = []
  /// Common names of the subject, in UTF-8.
  public var commonNames: [[UInt8]] = []
  /// When it ends, in seconds since 1970.
  public var notAfter: UInt64?
  /// By which authorities it was verified: see `Authenticator`.
  public var authorityGeneration: UInt64 = 0

  public init() {}

  /// Of a certificate in DER. Nil if it is none, is longer than `CredentialLimits.certificateBytesMax`, or has names
  /// that can't be read. Allocates; once per connection.
  public init?(der: UnsafeRawBufferPointer) {
    guard der.count <= CredentialLimits.certificateBytesMax,
      let bytes = der.assumingMemoryBound(to: UInt8.self).baseAddress
    else { return nil }
    var notAfter: Int64 = -1
    let isRead = withUnsafeMutablePointer(to: &self) { certificate in
      engram_certificate_names(
        bytes, der.count, certificate,
        { tag, kind, bytes, count in
          guard let certificate = tag?.assumingMemoryBound(to: PeerCertificate.self) else { return }
          let name = [UInt8](UnsafeBufferPointer(start: bytes, count: count))
          switch Int(kind) {
          case ENGRAM_NAME_URI: certificate.pointee.uris.append(name)
          case ENGRAM_NAME_DNS: certificate.pointee.dnsNames.append(name)
          case ENGRAM_NAME_EMAIL: certificate.pointee.emails.append(name)
          default: certificate.pointee.commonNames.append(name)
          }
        }, &notAfter) == 1
    }
    guard isRead, notAfter >= 0 else { return nil }
    self.notAfter = UInt64(notAfter)
  }
}
