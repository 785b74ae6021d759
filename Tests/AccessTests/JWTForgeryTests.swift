import Access
import CAccessTesting
import Testing

/// One token that nobody may come in by.
struct Forgery: CustomTestStringConvertible, Sendable {
  var name: String
  var token: String
  var reason: AuthenticationFailure
  var testDescription: String { name }

  init(_ name: String, _ reason: AuthenticationFailure, _ token: String) {
    self.name = name
    self.reason = reason
    self.token = token
  }
}

/// The forged and malformed tokens: each is one step away from one that is accepted, and is refused for that step.
@Suite struct JWTForgeryTests {
  static let desk = Desk.shared

  @Test(arguments: Desk.Signer.allCases)
  func acceptsWhatIsRight(signer: Desk.Signer) throws {
    let desk = Self.desk
    let principal = try #require(desk.outcome(desk.token(signer), Desk.verifier).principal)
    #expect(principal.agent == Array("anna".utf8))
    #expect(principal.roles == ["worker", "reader"])
    #expect(principal.provider == .jwt)
    #expect(principal.expiresAt == desk.now + 660)
  }

  @Test(arguments: Self.forgeries) func refuses(forgery: Forgery) throws {
    let outcome = Self.desk.outcome(forgery.token, Desk.verifier)
    #expect(outcome.principal == nil, "accepted: \(forgery.token)")
    #expect(outcome.failure == forgery.reason)
  }

  @Test func areMany() { #expect(Self.forgeries.count >= 80) }

  /// Claims that look odd and are right: without them a verifier that refuses everything would pass.
  @Test(arguments: [
    ["aud": #"["other","engram-2"]"#], ["exp": "1800000000.9"], ["exp": "1800000600.0"], ["nbf": ""],
    ["iat": "", "nbf": ""], ["exp": "1799999941"], ["nbf": "1800000060"], ["iat": "1800000060.5"],
    ["roles": ""], ["roles": #""worker reader""#], ["roles": "[]"], ["roles": #""""#],
    ["sub": #""\u0061nna""#], ["extra": #"{"sub":"root","roles":["admin"]}"#],
    ["jti": #""x""#, "extra": "[[[[1.5e3]]]]"], ["exp": "253402300799"],
  ])
  func acceptsOddClaims(changes: [String: String]) throws {
    let desk = Self.desk
    let token = desk.token(claims: desk.claims(changes))
    let principal = try #require(desk.outcome(token, Desk.verifier).principal)
    #expect(principal.agent == Array("anna".utf8))
    #expect(!principal.roles.contains("admin"))
  }

  @Test(arguments: [
    #"{"alg":"HS256"}"#, #"{"alg":"HS256","typ":"JWT"}"#, #"{"alg":"HS256","typ":"at+JWT"}"#,
    #"{"alg":"HS256","typ":"application/at+jwt"}"#, #"{"alg":"HS256","x5t":"abc","kid":"hs"}"#,
    #" { "alg" : "HS256" , "other" : [ { } ] } "#, #"{"\u0061lg":"HS256"}"#,
  ])
  func acceptsOddHeaders(header: String) throws {
    let desk = Self.desk
    #expect(desk.outcome(desk.token(header: header), Desk.verifier).principal != nil)
  }

  // MARK: The table

  static let forgeries: [Forgery] =
    forms + headers + confusions + signatures + times + others

  /// What isn't three parts of canonical base64url.
  private static var forms: [Forgery] {
    let good = desk.token()
    let parts = good.split(separator: ".").map(String.init)
    let (head, body, end) = (parts[0], parts[1], parts[2])
    /// The last character with a bit set that stands for nothing.
    func trailing(_ text: String) -> String {
      let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
      guard let last = text.last, let place = alphabet.firstIndex(of: last) else { return text }
      return text.dropLast() + String(alphabet[place | 1])
    }
    func signed(_ head: String, _ body: String) -> String {
      "\(head).\(body).\(base64(desk.signature(.hs, over: "\(head).\(body)")))"
    }
    let unpadded =
      [base64(#"{"alg":"HS256"}"#), base64(#"{"alg":"HS256"} "#), base64(#"{"alg":"HS256"}  "#)]
      .first { $0.utf8.count % 4 != 0 } ?? head
    let large = desk.claims(["extra": "\"" + String(repeating: "x", count: 7000) + "\""])
    return [
      Forgery("nothing", .malformedToken, ""), Forgery("a dot", .malformedToken, "."),
      Forgery("two dots", .malformedToken, ".."), Forgery("one part", .malformedToken, head),
      Forgery("two parts", .malformedToken, "\(head).\(body)"),
      Forgery("no header", .malformedToken, ".\(body).\(end)"),
      Forgery("no claims", .malformedToken, "\(head)..\(end)"),
      Forgery("no signature", .malformedToken, "\(head).\(body)."),
      Forgery("four parts", .malformedToken, "\(good).\(end)"),
      Forgery("five parts, as of a JWE", .malformedToken, "\(head).\(body).\(end).\(end).\(end)"),
      Forgery("a dot behind", .malformedToken, "\(good)."),
      Forgery("a dot before", .malformedToken, ".\(good)"),
      Forgery("padding of the header", .malformedToken, signed(unpadded + "=", body)),
      Forgery("padding of the signature", .malformedToken, good + "="),
      Forgery("trailing bits of the signature", .malformedToken, "\(head).\(body).\(trailing(end))"),
      Forgery("trailing bits of the header", .malformedToken, signed(trailing(unpadded), body)),
      Forgery("a length that base64 doesn't have", .malformedToken, good + "AA"),
      Forgery("standard alphabet: plus", .malformedToken, "\(head).\(body).+\(end.dropFirst())"),
      Forgery("standard alphabet: slash", .malformedToken, "\(head).\(body)./\(end.dropFirst())"),
      Forgery("a space before", .malformedToken, " \(good)"),
      Forgery("a space behind", .malformedToken, "\(good) "),
      Forgery("a line's end", .malformedToken, "\(good)\n"),
      Forgery("a space within", .malformedToken, "\(head). \(body).\(end)"),
      Forgery("a zero byte", .malformedToken, "\(head).\(body).\(end.dropLast())\0"),
      Forgery("beyond ASCII", .malformedToken, "\(head).\(body).é\(end.dropFirst(2))"),
      Forgery("JSON serialization", .malformedToken, #"{"payload":"\#(body)","signature":"\#(end)"}"#),
      Forgery("oversize", .oversize, desk.token(claims: large)),
      Forgery("header is no JSON", .malformedToken, signed(base64("alg=HS256"), body)),
      Forgery("header is an array", .malformedToken, signed(base64(#"["alg","HS256"]"#), body)),
      Forgery("header is a string", .malformedToken, signed(base64(#""HS256""#), body)),
      Forgery("header is null", .malformedToken, signed(base64("null"), body)),
      Forgery("header has a tail", .malformedToken, signed(base64(#"{"alg":"HS256"}{}"#), body)),
      Forgery(
        "header isn't UTF-8", .malformedToken,
        signed(base64(Array(#"{"alg":"HS256","x":""#.utf8) + [0xFF] + Array(#""}"#.utf8)), body)),
      Forgery(
        "header with a byte order mark", .malformedToken, signed(base64("\u{FEFF}{\"alg\":\"HS256\"}"), body)),
      Forgery("header with a comment", .malformedToken, signed(base64(#"{"alg":"HS256"/**/}"#), body)),
      Forgery("claims are no JSON", .malformedToken, signed(head, base64("sub=anna"))),
      Forgery("claims are an array", .malformedToken, desk.token(claims: "[\(desk.claims())]")),
      Forgery("claims are a string", .malformedToken, desk.token(claims: #""anna""#)),
      Forgery("claims have a tail", .malformedToken, desk.token(claims: desk.claims() + "x")),
      Forgery(
        "claims nest 40 deep", .malformedToken,
        desk.token(
          claims: desk.claims(["x": String(repeating: "[", count: 40) + String(repeating: "]", count: 40)]))),
      Forgery("nested: a token as claims", .malformedToken, desk.token(claims: good)),
    ]
  }

  /// Headers that choose more than a key, and duplicates.
  private static var headers: [Forgery] {
    func with(_ member: String) -> String { desk.token(header: #"{"alg":"HS256",\#(member)}"#) }
    let key = #"{"kty":"oct","k":"\#(base64(desk.secret))"}"#
    return [
      Forgery("crit", .header, with(#""crit":["exp"],"exp":1"#)),
      Forgery("crit, empty", .header, with(#""crit":[]"#)),
      Forgery("b64 false", .header, with(#""b64":false,"crit":["b64"]"#)),
      Forgery("b64 alone", .header, with(#""b64":true"#)),
      Forgery("nested: cty JWT", .header, with(#""cty":"JWT""#)),
      Forgery("nested: cty jwt", .header, with(#""cty":"jwt""#)),
      Forgery("jwk", .header, with(#""jwk":\#(key)"#)),
      Forgery("jku", .header, with(#""jku":"https://evil.example/keys""#)),
      Forgery("x5u", .header, with(#""x5u":"https://evil.example/cert""#)),
      Forgery("x5c", .header, with(#""x5c":["MIIB"]"#)), Forgery("zip", .header, with(#""zip":"DEF""#)),
      Forgery("enc, as of a JWE", .header, with(#""enc":"A128GCM""#)),
      Forgery("jwk under an escaped name", .header, with(#""\u006awk":\#(key)"#)),
      Forgery("typ of another kind", .header, with(#""typ":"logout+jwt""#)),
      Forgery("typ of a proof", .header, with(#""typ":"dpop+jwt""#)),
      Forgery("typ JWS", .header, with(#""typ":"JOSE""#)),
      Forgery("typ is no string", .malformedToken, with(#""typ":1"#)),
      Forgery("alg twice", .malformedToken, with(#""alg":"HS256""#)),
      Forgery("alg twice, one escaped", .malformedToken, with(#""\u0061lg":"none""#)),
      Forgery("an unknown member twice", .malformedToken, with(#""x":1,"x":2"#)),
      Forgery("a member twice, deep within", .malformedToken, with(#""x":{"y":1,"y":2}"#)),
      Forgery("kid is no string", .malformedToken, with(#""kid":7"#)),
      Forgery("kid unknown", .unknownKey, with(#""kid":"other""#)),
      Forgery("kid empty", .unknownKey, with(#""kid":"""#)),
      Forgery("kid as a path", .unknownKey, with(#""kid":"../../dev/null""#)),
      Forgery("kid with a zero byte", .unknownKey, with(#""kid":"hs\u0000""#)),
      Forgery("kid as SQL", .unknownKey, with(#""kid":"x' UNION SELECT 'k""#)),
      Forgery("kid too long", .unknownKey, with(#""kid":"\#(String(repeating: "h", count: 300))""#)),
      Forgery("kid in other case", .unknownKey, with(#""kid":"HS""#)),
    ]
  }

  /// Algorithms that aren't the key's.
  private static var confusions: [Forgery] {
    let body = base64(desk.claims())
    func unsigned(_ header: String, _ signature: [UInt8] = []) -> String {
      "\(base64(header)).\(body).\(base64(signature))"
    }
    func named(_ algorithm: String) -> Forgery {
      Forgery("alg \(algorithm)", .algorithm, desk.token(header: #"{"alg":"\#(algorithm)"}"#))
    }
    func hmacked(_ kid: String, _ key: [UInt8]) -> String {
      let text = "\(base64(#"{"alg":"HS256","kid":"\#(kid)"}"#)).\(body)"
      return "\(text).\(base64(hmac(text, key: key)))"
    }
    let names = [
      "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "HS512", "RS384", "RS512", "PS256",
      "ES384",
      "ES512", "ES256K", "Ed25519", "eddsa", "RSA1_5", "dir", "HS256\\u0000",
    ]
    return names.map(named) + [
      Forgery("alg none without signature", .malformedToken, unsigned(#"{"alg":"none"}"#)),
      Forgery("alg none with a signature", .algorithm, unsigned(#"{"alg":"none"}"#, [1])),
      Forgery("alg is null", .malformedToken, unsigned(#"{"alg":null}"#, [1])),
      Forgery("alg is an array", .malformedToken, unsigned(#"{"alg":["HS256"]}"#, [1])),
      Forgery("no alg", .algorithm, desk.token(header: #"{"kid":"hs"}"#)),
      Forgery("HS256 under the RSA key's name", .unknownKey, hmacked("rs", desk.rsa.pem)),
      Forgery("HS256 with the RSA key's PEM as secret", .signature, hmacked("hs", desk.rsa.pem)),
      Forgery("HS256 with the modulus as secret", .unknownKey, hmacked("rs", desk.rsa.part("n"))),
      Forgery("HS256 with the EC key's PEM as secret", .unknownKey, hmacked("es", desk.p256.pem)),
      Forgery("HS256 with the Ed25519 key as secret", .unknownKey, hmacked("ed", desk.ed25519.part("x"))),
      Forgery("HS256 with an empty secret", .signature, hmacked("hs", [])),
      Forgery(
        "RS256 under the secret's name", .unknownKey, desk.token(.rs, header: #"{"alg":"RS256","kid":"hs"}"#)),
      Forgery(
        "ES256 under the RSA key's name", .unknownKey, desk.token(.es, header: #"{"alg":"ES256","kid":"rs"}"#)
      ),
      Forgery(
        "EdDSA under the EC key's name", .unknownKey, desk.token(.ed, header: #"{"alg":"EdDSA","kid":"es"}"#)),
      Forgery("RS256 says it is ES256", .signature, desk.token(.rs, header: Desk.Signer.es.header)),
      Forgery("ES256 says it is EdDSA", .signature, desk.token(.es, header: Desk.Signer.ed.header)),
    ]
  }
}
