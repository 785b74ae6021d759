/// Why TLS can't be had from these settings: an operator's mistake, or the machine's.
public struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Cause: Sendable, Equatable {
    case badCertificate(String)
    case badKey(String)
    case keyNeedsPassphrase
    case keyOfOtherCertificate
    case badClientCA(String)
    /// Client certificates are asked for, and no authorities are there.
    case clientCAMissing
    case outOfMemory(String)
  }

  public let cause: Cause
  /// The file that is at fault.
  public let path: String

  init(_ cause: Cause, _ path: String) {
    self.cause = cause
    self.path = path
  }

  public var description: String {
    switch cause {
    case .badCertificate(let reason): "\(path): no usable PEM certificate (\(reason))"
    case .badKey(let reason): "\(path): no usable PEM private key (\(reason))"
    case .keyNeedsPassphrase: "\(path): the key is encrypted, and no passphrase is given"
    case .keyOfOtherCertificate: "\(path): not the key of the certificate"
    case .badClientCA(let reason): "\(path): no usable PEM certificates of authorities (\(reason))"
    case .clientCAMissing: "client certificates are asked for, but no file names their authorities"
    case .outOfMemory(let reason): "OpenSSL can't make a context (\(reason))"
    }
  }
}
