internal import Bytes
internal import COpenSSL
internal import Glibc
internal import Synchronization

/// What the contexts of one server share, one after the other: the keys of tickets, and the count of handshakes.
/// Any thread.
final class TLSCommons: Sendable {
  nonisolated(unsafe) let tickets: OpaquePointer
  let handshakes = Atomic<Int>(0)

  init?() {
    guard let tickets = engram_tls_tickets_new() else { return nil }
    self.tickets = tickets
  }

  deinit { engram_tls_tickets_release(tickets) }
}

/// A server's certificate and rules, from which sessions are made: immutable, shared by all loops. A session holds its
/// context, so a new certificate is a new context for new connections. Any thread.
public final class TLSContext: Sendable {
  public let settings: TLSSettings
  /// When the certificate ends, in seconds since 1970.
  public let certificateExpires: Int64
  /// Numbers the authorities of clients' certificates: that of the context before where each of its authorities is one
  /// still, else the next. A certificate of a connection is as good as it was while its context's number is the latest.
  public let authorityGeneration: UInt64
  nonisolated(unsafe) let raw: OpaquePointer
  let commons: TLSCommons

  /// Checks that the files fit together. Keeps none of them. An encrypted key takes its time: for the main thread.
  /// - Parameters:
  ///   - files: those that `settings` names.
  ///   - earlier: the context that this one takes the place of. Its tickets stay good where clients must show the same
  ///     certificates, and handshakes count together.
  public init(
    _ settings: TLSSettings, _ files: TLSFiles, succeeding earlier: TLSContext? = nil
  ) throws(TLSError) {
    defer { withExtendedLifetime(files) {} }
    let (certificate, key) = (files.certificate.bytes, files.key.bytes)
    guard let commons = earlier?.commons ?? TLSCommons() else {
      throw TLSError(.outOfMemory("no ticket keys"), settings.certificate)
    }
    var options = engram_tls_options(
      certificate: certificate.baseAddress, certificate_bytes: certificate.count, key: key.baseAddress,
      key_bytes: key.count, passphrase: nil, client_ca: nil, client_ca_bytes: 0,
      client_required: settings.clientCertificates == .required, only_13: settings.minimumVersion == .v13,
      resumption: settings.resumption)
    if settings.clientCertificates != .off {
      guard let authorities = files.clientCA?.bytes else {
        throw TLSError(.clientCAMissing, settings.certificate)
      }
      options.client_ca = authorities.baseAddress
      options.client_ca_bytes = authorities.count
    }
    raw = try TLSContext.make(options, commons, settings)
    self.settings = settings
    self.commons = commons
    certificateExpires = engram_tls_context_expires(raw)
    guard let earlier else {
      authorityGeneration = 0
      return
    }
    let keeps = engram_tls_context_keeps_authorities(raw, earlier.raw)
    authorityGeneration = earlier.authorityGeneration + (keeps ? 0 : 1)
  }

  deinit { engram_tls_context_free(raw) }

  private static func make(
    _ options: engram_tls_options, _ commons: TLSCommons, _ settings: TLSSettings
  ) throws(TLSError) -> OpaquePointer {
    var made = ENGRAM_TLS_MADE
    var fault = engram_tls_fault()
    var options = options
    let context: OpaquePointer?
    if let passphrase = settings.keyPassphrase {
      context = passphrase.withCString {
        options.passphrase = $0
        return engram_tls_context_new(&options, commons.tickets, &made, &fault)
      }
    } else {
      context = engram_tls_context_new(&options, commons.tickets, &made, &fault)
    }
    if let context { return context }
    let reason = withUnsafeBytes(of: fault.reason) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    switch made {
    case ENGRAM_TLS_BAD_CERTIFICATE: throw TLSError(.badCertificate(reason), settings.certificate)
    case ENGRAM_TLS_BAD_KEY: throw TLSError(.badKey(reason), settings.key)
    case ENGRAM_TLS_KEY_NEEDS_PASSPHRASE: throw TLSError(.keyNeedsPassphrase, settings.key)
    case ENGRAM_TLS_KEY_OF_OTHER_CERTIFICATE: throw TLSError(.keyOfOtherCertificate, settings.key)
    case ENGRAM_TLS_BAD_CLIENT_CA: throw TLSError(.badClientCA(reason), settings.clientCA ?? "")
    default: throw TLSError(.outOfMemory(reason), settings.certificate)
    }
  }

  /// Handshakes under way, those of the contexts before this one included.
  public var handshakesUnderWay: Int { commons.handshakes.load(ordering: .relaxed) }

  /// Makes a new key for tickets now; the one before it still opens those that it sealed.
  public func rotateTicketKeys() { _ = engram_tls_tickets_rotate(commons.tickets) }

  func beginHandshake() { commons.handshakes.wrappingAdd(1, ordering: .relaxed) }

  func endHandshake() { commons.handshakes.wrappingSubtract(1, ordering: .relaxed) }
}

/// What the kernel's own TLS would need, and whether it is there.
public enum KernelTLS {
  /// Nil if the kernel takes TLS over for a connection, else the errno that it gave. Blocking, cold.
  public static func probe() -> Int32? {
    let result = engram_ktls_probe()
    return result == 0 ? nil : result
  }
}
