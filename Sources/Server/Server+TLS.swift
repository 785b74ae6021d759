internal import API
internal import Engine
internal import EventLoop
internal import Glibc
internal import Logging
internal import Settings
internal import Synchronization

/// The context that new connections get, for those who ask from other threads than the loops'. Any thread.
final class TLSDoor: Sendable {
  private let current: Mutex<TLSContext?>

  init(_ context: TLSContext?) { current = Mutex(context) }

  var context: TLSContext? { current.withLock { $0 } }

  func set(_ context: TLSContext) { current.withLock { $0 = context } }
}

extension TLSSettings {
  /// What the settings say of TLS; nil if it is off.
  init?(_ settings: Settings) {
    guard let certificate = settings[Schema.certificate], let key = settings[Schema.privateKey] else {
      return nil
    }
    self.init(certificate: certificate, key: key)
    keyPassphrase = settings[Schema.keyPassphrase]
    minimumVersion = Version(rawValue: settings[Schema.minVersion]) ?? .v12
    clientCertificates = ClientCertificates(rawValue: settings[Schema.clientCertificates]) ?? .required
    clientCA = settings[Schema.clientCA]
    handshakeNanoseconds = UInt64(settings[Schema.handshakeTimeout]) * 1_000_000_000
    // At most half of the connections there may be: room is made among handshakes before it is short among those.
    let connections = min(settings[Schema.connectionsMax], Server.descriptors().forConnections)
    let handshakes = min(settings[Schema.handshakesMax], connections / 2)
    handshakesMax = max(1, handshakes / max(1, settings[Schema.loops]))
    resumption = settings[Schema.sessionResumption]
    kernelTLS = settings[Schema.kernelTLS] == "auto"
  }
}

extension Server {
  /// Connections that come from now on get `context`; those that are there keep theirs. Main thread.
  func adopt(_ context: TLSContext) {
    door.set(context)
    for acceptor in acceptors {
      acceptor.services.engine.loop.perform { acceptor.tls = context }
    }
    log(context)
  }

  /// Logs what an operator may want to know of the certificate.
  func log(_ context: TLSContext) {
    let days = (context.certificateExpires - EventLoop.unixSeconds()) / 86_400
    let certificate = context.settings.certificate
    switch days {
    case ..<0: logger.error("the certificate \(certificate) has ended: clients won't accept it")
    case ..<14: logger.warning("the certificate \(certificate) ends in \(days) days")
    default: logger.debug("the certificate \(certificate) ends in \(days) days")
    }
  }

  /// Logs whether the kernel could seal records in our place.
  func logKernelTLS() {
    guard door.context?.settings.kernelTLS == true else { return }
    switch KernelTLS.probe() {
    case nil:
      logger.debug("the kernel offers TLS of its own; it is not made use of: records are sealed by OpenSSL")
    case let code?:
      logger.debug(
        "the kernel has no TLS of its own (setsockopt(TCP_ULP): \(String(cString: strerror(code))), errno \(code))"
      )
    }
  }
}
