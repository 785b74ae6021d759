import Testing

@testable import Access

@Suite struct JWTVerifierTests {
  static let desk = Desk.shared

  // MARK: Vectors

  private static let rfcSecret =
    #"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#
  private static let rfcRSA =
    #"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ"#
    + "PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z"
    + "5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-D"
    + #"WNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#
  private static let rfcP256 =
    #"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#
    + #""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
  private static let rfcClaims =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

  /// RFC 7515, appendices A.1 (the token of RFC 7519, section 3.1, too), A.2 and A.3.
  private static let vectors: [(name: String, key: String, token: String)] = [
    (
      "A.1", rfcSecret,
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(rfcClaims).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    ),
    (
      "A.2", rfcRSA,
      "eyJhbGciOiJSUzI1NiJ9.\(rfcClaims)."
        + "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9"
        + "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB"
        + "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
        + "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    ),
    (
      "A.3", rfcP256,
      "eyJhbGciOiJFUzI1NiJ9.\(rfcClaims)."
        + "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    ),
  ]

  @Test(arguments: vectors) func acceptsTheVectorsOfRFC7515(
    vector: (name: String, key: String, token: String)
  ) throws {
    var settings = JWTSettings()
    settings.issuer = "joe"
    settings.agentClaim = "iss"
    let verifier = try Self.desk.verifier(settings, keys: [vector.key])
    let principal = try #require(Self.desk.outcome(vector.token, verifier, now: 1_300_819_380).principal)
    #expect(principal.agent == Array("joe".utf8))
    #expect(Self.desk.outcome(vector.token, verifier, now: 1_300_819_440).failure == .expired)
    var broken = Array(vector.token.utf8)
    broken[broken.count - 10] ^= 1
    #expect(
      Self.desk.outcome(String(decoding: broken, as: UTF8.self), verifier, now: 0).failure == .signature)
  }

  /// RFC 8037, appendix A.4: what is signed is no JSON, so the signature is checked alone.
  @Test func acceptsTheVectorOfRFC8037() throws {
    let key = try #require(
      VerificationKey.ed25519(bytes(ofBase64: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"), id: nil))
    let signature = bytes(
      ofBase64: "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
    let text = Array("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".utf8)
    #expect(text.withUnsafeBytes { key.verifies(signature, over: $0) })
    #expect(!text.dropLast().withUnsafeBytes { key.verifies(signature, over: $0) })
  }

  // MARK: Cut and flip

  @Test(arguments: Desk.Signer.allCases) func refusesEveryCutAndEveryFlippedBit(signer: Desk.Signer) throws {
    let verifier = Desk.verifier
    let token = Array(Self.desk.token(signer).utf8)
    #expect(Self.desk.outcome(String(decoding: token, as: UTF8.self), verifier).principal != nil)
    for count in 0..<token.count {
      let cut = String(decoding: token[..<count], as: UTF8.self)
      #expect(Self.desk.outcome(cut, verifier).principal == nil, "cut to \(count)")
    }
    for place in token.indices {
      var other = token
      other[place] ^= UInt8(1 << (place % 7))
      #expect(
        Self.desk.outcome(String(decoding: other, as: UTF8.self), verifier).principal == nil,
        "flipped \(place)")
    }
  }

  // MARK: Keys

  @Test func withoutNameTheOnlyKeyOfTheAlgorithmIsTaken() throws {
    let desk = Self.desk
    let other = TestKey(.p256)
    let second =
      #"{"kty":"EC","kid":"es2","crv":"P-256","x":"\#(other.encoded("x"))","y":"\#(other.encoded("y"))"}"#
    let nameless = desk.token(.es, header: #"{"alg":"ES256"}"#)
    #expect(desk.outcome(nameless, Desk.verifier).principal != nil)
    let two = try desk.verifier(keys: [desk.p256Key, second])
    #expect(desk.outcome(nameless, two).failure == .unknownKey)
    #expect(desk.outcome(desk.token(.es), two).principal != nil)
  }

  @Test func takesOnlyTheAlgorithmsOfTheSettings() throws {
    var settings = Desk.settings
    settings.algorithms = [.es256]
    let verifier = try Self.desk.verifier(settings)
    for signer in Desk.Signer.allCases {
      let outcome = Self.desk.outcome(Self.desk.token(signer), verifier)
      #expect((outcome.principal != nil) == (signer == .es))
      if signer != .es { #expect(outcome.failure == .algorithm) }
    }
  }

  // MARK: Claims

  @Test(arguments: [
    ("realm_access.roles", #""realm_access":{"x":1,"roles":["a","b"]}"#, ["a", "b"]),
    (
      "https://x.example/roles", #""https://x.example/roles":["a"],"https://x":{"example/roles":["z"]}"#,
      ["a"]
    ),
    ("a.b.c", #""a":{"b":{"c":"x y x","d":1},"c":["z"]}"#, ["x", "y"]),
    ("a.b", #""a":{"c":{"b":["z"]}}"#, []), ("a.b", #""a.b":["z"]"#, []),
    ("roles", #""x":{"roles":["z"]}"#, []),
    ("", #""":["z"]"#, []),
  ])
  func rolesAreFoundByTheirPath(path: String, member: String, roles: [String]) throws {
    var settings = Desk.settings
    settings.rolesClaim = path
    let claims = #"{\#(member),"# + Self.desk.claims(["roles": ""]).dropFirst()
    let principal = try #require(
      Self.desk.outcome(Self.desk.token(claims: claims), try Self.desk.verifier(settings)).principal)
    #expect(principal.roles == (path.isEmpty ? ["z"] : roles))
  }

  @Test func agentAndRolesMayStandInOneObject() throws {
    var settings = Desk.settings
    settings.agentClaim = "user.name"
    settings.rolesClaim = "user.groups"
    let verifier = try Self.desk.verifier(settings)
    let claims = Self.desk.claims(["user": #"{"groups":["a"],"name":"bob"}"#, "sub": "", "roles": ""])
    let principal = try #require(Self.desk.outcome(Self.desk.token(claims: claims), verifier).principal)
    #expect(principal.agent == Array("bob".utf8))
    #expect(principal.roles == ["a"])
    for user in [#""bob""#, #"["bob"]"#, "null", #"{"name":{"name":"bob"}}"#, #"{"name":"a","name":"bob"}"#] {
      let claims = Self.desk.claims(["user": user])
      #expect(Self.desk.outcome(Self.desk.token(claims: claims), verifier).principal == nil, "\(user)")
    }
  }

  @Test func aTokenForSomebodyIsRefusedByNobody() throws {
    var settings = Desk.settings
    settings.audiences = []
    let verifier = try Self.desk.verifier(settings)
    #expect(Self.desk.outcome(Self.desk.token(), verifier).failure == .audience)
    #expect(
      Self.desk.outcome(Self.desk.token(claims: Self.desk.claims(["aud": ""])), verifier).principal != nil)
  }

  @Test func noClockAndNoLeewayOverflows() throws {
    var settings = Desk.settings
    settings.leewaySeconds = .max
    let verifier = try Self.desk.verifier(settings)
    let token = Self.desk.token(claims: Self.desk.claims(["exp": "253402300799"]))
    #expect(Self.desk.outcome(token, verifier, now: 0).principal != nil)
    #expect(Self.desk.outcome(token, verifier, now: .max).failure == .expired)
  }

  @Test func leewayEndsToTheSecond() throws {
    let verifier = Desk.verifier
    let token = Self.desk.token(claims: Self.desk.claims(["exp": "1800000000", "nbf": "1799999990"]))
    for (now, isRight) in [
      (1_800_000_059, true), (1_800_000_060, false), (1_799_999_930, true), (1_799_999_929, false),
    ] {
      #expect((Self.desk.outcome(token, verifier, now: UInt64(now)).principal != nil) == isRight, "\(now)")
    }
  }
}
