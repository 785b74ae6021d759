public import Model

/// Finds out who is asking, by the providers of the configuration in their order. Immutable; any thread.
///
/// Each provider that takes a credential of the kind is asked until one says yes. The answer is a principal or none;
/// which part was wrong is for the audit only.
public final class Authenticator: Sendable {
  /// A provider with what it was made from.
  public enum Source: Sendable {
    case tokens(TokenTable)
    case jwt(JWTVerifier)
    case certificates(CertificateNaming)
  }

  private let sources: [Source]
  private let authorityGeneration: UInt64

  /// - Parameter authorityGeneration: of the authorities that certificates are verified by now. One that was verified
  ///   under another number is none: some authority of that time is gone, and a new handshake shows whether it was its.
  public init(_ sources: [Source], authorityGeneration: UInt64 = 0) {
    self.sources = sources
    self.authorityGeneration = authorityGeneration
  }

  /// Whether a certificate of the connection can tell who is asking.
  public var takesCertificates: Bool {
    sources.contains { if case .certificates = $0 { true } else { false } }
  }

  // MARK: Credentials

  /// The principal of a bearer credential.
  /// - Parameters:
  ///   - credential: as `BearerField.credential` found it.
  ///   - now: seconds since 1970.
  public func verify(
    bearer credential: UnsafeRawBufferPointer, now: UInt64
  ) throws(AuthenticationFailure) -> Principal {
    var reason = AuthenticationFailure.noProvider
    for source in sources {
      do throws(AuthenticationFailure) {
        switch source {
        case .tokens(let table): return try table.verify(credential, now: now)
        case .jwt(let verifier): return try verifier.verify(credential, now: now)
        case .certificates: continue
        }
      } catch {
        reason = Self.clearer(reason, error)
      }
    }
    throw reason
  }

  public func authenticate(bearer credential: UnsafeRawBufferPointer, now: UInt64) -> Principal? {
    do throws(AuthenticationFailure) { return try verify(bearer: credential, now: now) } catch { return nil }
  }

  /// The principal of the certificate that the connection was made with.
  public func verify(
    certificate: PeerCertificate, now: UInt64
  ) throws(AuthenticationFailure) -> Principal {
    var reason = AuthenticationFailure.noProvider
    for source in sources {
      guard case .certificates(let naming) = source else { continue }
      guard certificate.authorityGeneration == authorityGeneration else { throw .authority }
      do throws(AuthenticationFailure) { return try naming.verify(certificate, now: now) } catch {
        reason = error
      }
    }
    throw reason
  }

  public func authenticate(certificate: PeerCertificate, now: UInt64) -> Principal? {
    do throws(AuthenticationFailure) { return try verify(certificate: certificate, now: now) } catch {
      return nil
    }
  }

  /// What is told of two reasons: that a credential isn't of another provider's kind says least.
  private static func clearer(
    _ first: AuthenticationFailure, _ second: AuthenticationFailure
  ) -> AuthenticationFailure {
    switch second {
    case .malformedToken, .unknownToken, .oversize: first == .noProvider ? second : first
    default: second
    }
  }

  // MARK: Tickets, and after a reload

  /// The principal of a ticket, which is good no more. A credential that was taken back since the ticket was made is
  /// none for the ticket either.
  public func verify(
    ticket: UnsafeRawBufferPointer, in book: TicketBook, now: LogTime
  ) throws(AuthenticationFailure) -> Principal {
    let principal = try book.redeem(ticket, now: now)
    guard renew(principal, now: now.microseconds / 1_000_000) != nil else { throw .expired }
    return principal
  }

  /// Who a principal is by this authenticator, which was made after the one that found it: of a token, whose line says
  /// now; of a certificate, whom it names now, while its authorities are there; of a JWT, itself while the key that
  /// signed it is there and claims are checked as they were. Nil: it is nobody any more, and what goes on under it, such
  /// as a stream, is to end.
  public func renew(_ principal: Principal, now: UInt64) -> Principal? {
    guard !principal.isExpired(now: now) else { return nil }
    switch principal.proof {
    case .token(let digest):
      for case .tokens(let table) in sources {
        guard let found = table.find(digest), found.agent == principal.agent else { continue }
        return found.isExpired(now: now) ? nil : found
      }
    case .key(let fingerprint, let settings):
      for case .jwt(let verifier) in sources where verifier.stands(by: settings, fingerprint) {
        return principal
      }
    case .certificate(let certificate):
      guard let found = authenticate(certificate: certificate, now: now) else { return nil }
      return found.agent == principal.agent ? found : nil
    case .none: break
    }
    return nil
  }
}
