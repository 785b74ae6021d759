public import Bytes

/// The files that `TLSSettings` names, as they were read: by whom, and whether they may be trusted, is the caller's.
public struct TLSFiles: Sendable {
  public var certificate: SecretBytes
  public var key: SecretBytes
  /// Nil only while clients aren't asked for certificates.
  public var clientCA: SecretBytes?

  public init(certificate: SecretBytes, key: SecretBytes, clientCA: SecretBytes? = nil) {
    self.certificate = certificate
    self.key = key
    self.clientCA = clientCA
  }
}

/// What a server's TLS is made from. Paths are for messages: nobody here opens them.
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
  /// Path of a PEM file: the certificate's key.
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
