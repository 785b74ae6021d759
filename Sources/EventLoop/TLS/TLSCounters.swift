/// Why a handshake came to nothing.
public enum TLSFailure: String, Sendable, CaseIterable {
  /// Not TLS, or not as the RFCs have it.
  case malformed
  /// A request in plain HTTP; it was answered by a 400.
  case plainHTTP = "plain_http"
  /// No version, suite or group in common.
  case nothingInCommon = "nothing_in_common"
  /// ALPN without `http/1.1`.
  case noProtocol = "no_protocol"
  /// The client's certificate is missing, not good, or not its own.
  case clientCertificate = "client_certificate"
  /// The peer sent an alert: it doesn't trust our certificate, say.
  case refusedByPeer = "refused_by_peer"
  /// The peer went away in the middle.
  case abandoned
  case timedOut = "timed_out"
  /// It was the oldest when all places were taken and somebody new came.
  case crowdedOut = "crowded_out"
  /// Memory, or a bug.
  case `internal`
}

/// What the sessions of one loop came to. Any thread may read.
public struct TLSCounters: ~Copyable, Sendable {
  /// Handshakes with a signature of ours.
  public let full = LoopCounter()
  /// Handshakes that went on from an earlier session.
  public let resumed = LoopCounter()
  /// Connections closed at once: all places for handshakes were taken on other loops, or memory was short.
  public let refused = LoopCounter()
  /// Sessions that ended by a record that can't be: damaged, forged, or against the protocol.
  public let broken = LoopCounter()
  private let malformed = LoopCounter()
  private let plainHTTP = LoopCounter()
  private let nothingInCommon = LoopCounter()
  private let noProtocol = LoopCounter()
  private let clientCertificate = LoopCounter()
  private let refusedByPeer = LoopCounter()
  private let abandoned = LoopCounter()
  private let timedOut = LoopCounter()
  private let crowdedOut = LoopCounter()
  private let internalFault = LoopCounter()

  init() {}

  /// Handshakes that failed so.
  public func failures(_ failure: TLSFailure) -> UInt64 {
    switch failure {
    case .malformed: malformed.value
    case .plainHTTP: plainHTTP.value
    case .nothingInCommon: nothingInCommon.value
    case .noProtocol: noProtocol.value
    case .clientCertificate: clientCertificate.value
    case .refusedByPeer: refusedByPeer.value
    case .abandoned: abandoned.value
    case .timedOut: timedOut.value
    case .crowdedOut: crowdedOut.value
    case .internal: internalFault.value
    }
  }

  /// Loop thread.
  func add(_ failure: TLSFailure) {
    switch failure {
    case .malformed: malformed.add()
    case .plainHTTP: plainHTTP.add()
    case .nothingInCommon: nothingInCommon.add()
    case .noProtocol: noProtocol.add()
    case .clientCertificate: clientCertificate.add()
    case .refusedByPeer: refusedByPeer.add()
    case .abandoned: abandoned.add()
    case .timedOut: timedOut.add()
    case .crowdedOut: crowdedOut.add()
    case .internal: internalFault.add()
    }
  }
}
