internal import Bytes

/// `[auth.jwt]` of the configuration.
public struct JWTSettings: Sendable, Hashable {
  /// The JWKS file's path.
  public var jwks = ""
  /// What `iss` must be. Nil: anything, or nothing.
  public var issuer: String?
  /// One of these must be in `aud`. Empty: a token that is for somebody, whoever it is, is refused (RFC 7519, section
  /// 4.1.3).
  public var audiences: [String] = []
  /// Seconds by which clocks may differ.
  public var leewaySeconds: UInt64 = 60
  /// Which claim tells the agent; dots lead into objects.
  public var agentClaim = "sub"
  public var rolesClaim = "roles"
  public var algorithms: [JWTAlgorithm] = JWTAlgorithm.allCases

  public init() {}
}

/// Checks JSON Web Tokens (RFC 7519) in the compact form of a JWS (RFC 7515, section 7.1). Immutable; any thread.
///
/// In order: form, header, key, signature, claims. What a header says chooses among the keys of the file and nothing
/// else; which algorithm a key is used with is the key's own.
public final class JWTVerifier: Sendable {
  private let keys: KeySet
  private let settings: JWTSettings
  private let agentPath: ClaimPath
  private let rolesPath: ClaimPath

  public init(_ settings: JWTSettings, keys: KeySet) {
    self.settings = settings
    self.keys = keys
    agentPath = ClaimPath(settings.agentClaim)
    rolesPath = ClaimPath(settings.rolesClaim)
  }

  /// The principal of a token.
  /// - Parameter now: seconds since 1970.
  public func verify(_ token: UnsafeRawBufferPointer, now: UInt64) throws(AuthenticationFailure) -> Principal
  {
    guard token.count <= CredentialLimits.jwtBytesMax else { throw .oversize }
    let parts = token.split(
      separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw .malformedToken }
    let header = try Self.decode(parts[0])
    let claims = try Self.decode(parts[1])
    let signature = try Self.decode(parts[2])
    let key = try header.withUnsafeBufferPointer { text throws(AuthenticationFailure) -> VerificationKey in
      try self.key(UnsafeRawBufferPointer(text))
    }
    let signed = UnsafeRawBufferPointer(rebasing: token[..<parts[1].endIndex])
    guard key.verifies(signature, over: signed) else { throw .signature }
    return try claims.withUnsafeBufferPointer { text throws(AuthenticationFailure) -> Principal in
      try principal(
        JWTClaims(UnsafeRawBufferPointer(text), agent: agentPath, roles: rolesPath), key, now: now)
    }
  }

  /// Whether a principal that was found by `settings`, and by a key with this fingerprint, would be found again.
  func stands(by settings: JWTSettings, _ fingerprint: SHA256) -> Bool {
    settings == self.settings && keys.holds(fingerprint)
  }

  /// A part's bytes. None is empty.
  private static func decode(_ part: Slice<UnsafeRawBufferPointer>) throws(AuthenticationFailure) -> [UInt8] {
    guard !part.isEmpty, let bytes = Base64.decodeURL(UnsafeRawBufferPointer(rebasing: part)) else {
      throw .malformedToken
    }
    return bytes
  }

  private func key(_ text: UnsafeRawBufferPointer) throws(AuthenticationFailure) -> VerificationKey {
    let header = try JWTHeader(text)
    guard settings.algorithms.contains(header.algorithm) else { throw .algorithm }
    guard let key = keys.key(for: header.algorithm, id: header.keyID) else { throw .unknownKey }
    return key
  }

  private func principal(
    _ claims: JWTClaims, _ key: VerificationKey, now: UInt64
  ) throws(AuthenticationFailure) -> Principal {
    guard let expires = claims.expires else { throw .claims }
    // Times are at most those of the year 9999: no sum of them is too large, whatever the leeway.
    let leeway = min(settings.leewaySeconds, CredentialLimits.timeMax)
    let end = expires + leeway
    guard now < end else { throw .expired }
    let latest = min(now, CredentialLimits.timeMax) + leeway
    guard claims.notBefore ?? 0 <= latest, claims.issuedAt ?? 0 <= latest else { throw .notYetValid }
    if let issuer = settings.issuer {
      guard let found = claims.issuer, found.elementsEqual(issuer.utf8) else { throw .issuer }
    }
    try checkAudience(claims.audiences)
    guard let agent = claims.agent, Credential.isAgent(agent) else { throw .agent }
    return Principal(
      agent: agent, roles: claims.roles, provider: .jwt, expiresAt: end,
      proof: .key(key.fingerprint, by: settings))
  }

  private func checkAudience(_ found: [[UInt8]]?) throws(AuthenticationFailure) {
    guard let found else {
      guard settings.audiences.isEmpty else { throw .audience }
      return
    }
    let isOurs = found.contains { one in settings.audiences.contains { $0.utf8.elementsEqual(one) } }
    guard isOurs else { throw .audience }
  }
}
