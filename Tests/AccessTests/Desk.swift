import Access

/// A verifier with a key of each type, and what makes tokens for it.
struct Desk: Sendable {
  static let shared = Desk()
  static let issuer = "https://issuer.example"

  /// 2027-01-15T08:00:00Z.
  let now: UInt64 = 1_800_000_000
  let secret = (0..<32).map { UInt8($0 * 7 + 1) }
  let rsa = TestKey(.rsa(bits: 2048))
  let p256 = TestKey(.p256)
  let ed25519 = TestKey(.ed25519)

  static var settings: JWTSettings {
    var settings = JWTSettings()
    settings.issuer = issuer
    settings.audiences = ["engram", "engram-2"]
    return settings
  }

  var secretKey: String { #"{"kty": "oct", "kid": "hs", "k": "\#(base64(secret))"}"# }
  var rsaKey: String {
    #"{"kty": "RSA", "kid": "rs", "n": "\#(rsa.encoded("n"))", "e": "\#(rsa.encoded("e"))", "use": "sig"}"#
  }
  var p256Key: String {
    #"{"kty": "EC", "kid": "es", "crv": "P-256", "x": "\#(p256.encoded("x"))", "y": "\#(p256.encoded("y"))"}"#
  }
  var ed25519Key: String {
    #"{"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "\#(ed25519.encoded("x"))", "key_ops": ["verify"]}"#
  }

  func verifier(
    _ settings: JWTSettings = Desk.settings, keys: [String]? = nil
  ) throws(KeySetError) -> JWTVerifier {
    let list = keys ?? [secretKey, rsaKey, p256Key, ed25519Key]
    return JWTVerifier(settings, keys: try keySet(#"{"keys": [\#(list.joined(separator: ", "))]}"#))
  }

  /// With the settings and keys of most tests; made once, because the primes of an RSA key take long to check.
  static let verifier: JWTVerifier = {
    guard let made = try? shared.verifier() else { preconditionFailure("the desk's own keys are refused") }
    return made
  }()

  // MARK: Tokens

  enum Signer: String, CaseIterable {
    case hs = "HS256"
    case rs = "RS256"
    case es = "ES256"
    case ed = "EdDSA"

    var header: String { #"{"alg":"\#(rawValue)","kid":"\#("\(self)")"}"# }
  }

  /// The signature of a signer over some text.
  func signature(_ signer: Signer, over text: String) -> [UInt8] {
    switch signer {
    case .hs: hmac(text, key: secret)
    case .rs: rsa.sign(text, bits: 256)
    case .es: p256.signRaw(text)
    case .ed: ed25519.sign(text, bits: 0)
    }
  }

  /// A token that is right but for what it is given.
  func token(_ signer: Signer = .hs, header: String? = nil, claims: String? = nil) -> String {
    let text = "\(base64(header ?? signer.header)).\(base64(claims ?? self.claims()))"
    return "\(text).\(base64(signature(signer, over: text)))"
  }

  /// The members of good claims, with others in their place; an empty one leaves a member out.
  func claims(_ changes: [String: String] = [:]) -> String {
    var members = [
      "iss": #""\#(Desk.issuer)""#, "aud": #""engram""#, "sub": #""anna""#, "exp": "\(now + 600)",
      "nbf": "\(now - 10)", "iat": "\(now - 10)", "roles": #"["worker","reader"]"#,
    ]
    members.merge(changes) { $1 }
    return "{"
      + members.filter { !$0.value.isEmpty }.map { "\"\($0.key)\":\($0.value)" }.sorted()
      .joined(separator: ",") + "}"
  }

  /// What comes of a token: its agent, or why it is refused.
  func outcome(_ token: String, _ verifier: JWTVerifier, now: UInt64? = nil) -> Outcome {
    var token = token
    return token.withUTF8 { token in
      do throws(AuthenticationFailure) {
        return .accepted(try verifier.verify(UnsafeRawBufferPointer(token), now: now ?? self.now))
      } catch {
        return .refused(error)
      }
    }
  }
}

enum Outcome {
  case accepted(Principal)
  case refused(AuthenticationFailure)

  var principal: Principal? {
    if case .accepted(let principal) = self { principal } else { nil }
  }
  var failure: AuthenticationFailure? {
    if case .refused(let failure) = self { failure } else { nil }
  }
}
