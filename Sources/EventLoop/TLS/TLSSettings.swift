/// What a server's TLS is made from.
public struct TLSSettings: Sendable, Equatable {
  public enum Version: String, Sendable, CaseIterable {
    case v12 = "1.2"
    case v13 = "1.3"
  }

  /// Whether clients show certificates.
  public enum ClientCertificates: String, Sendable, CaseIterable {
    case off
    /// One that is shown must be good.
    case optional
    case required
  }

  /// Path of a PEM file: the server's certificate, then those between it and a root.
  public var certificate: String
  /// Path of a PEM file: the certificate's key. Others may not read it.
  public var key: String
  /// What the key is encrypted with.
  public var keyPassphrase: String?
  public var minimumVersion = Version.v12
  public var clientCertificates = ClientCertificates.off
  /// Path of a PEM file: the authorities whose clients' certificates are good. Nil only while they are off.
  public var clientCA: String?
  /// For a handshake, from the connection's beginning, in ns; then it is closed.
  public var handshakeNanoseconds: UInt64 = 10_000_000_000
  /// Handshakes under way on a loop; beyond, the oldest of them makes room. Each loop has its own, as who chooses his port
  /// may choose the loop that he is served by: nobody takes the places of the others.
  public var handshakesMax = 1024
  /// Whether clients get tickets, by which their next handshakes need no signature.
  public var resumption = true
  /// Whether the kernel is to seal and open records, where it can.
  public var kernelTLS = false

  public init(certificate: String, key: String) {
    self.certificate = certificate
    self.key = key
  }
}
