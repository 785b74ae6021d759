import Access

extension JWTForgeryTests {
  /// Signatures that are somebody else's, of something else, or written otherwise.
  static var signatures: [Forgery] {
    let body = base64(desk.claims())
    func text(_ signer: Desk.Signer) -> String { "\(base64(signer.header)).\(body)" }
    func signed(_ signer: Desk.Signer, _ signature: [UInt8]) -> String {
      "\(text(signer)).\(base64(signature))"
    }
    func good(_ signer: Desk.Signer) -> [UInt8] { desk.signature(signer, over: text(signer)) }
    func flipped(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
      var bytes = bytes
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      return bytes
    }
    /// The order of P-256, and of the base point of Ed25519 (little-endian).
    let order = bytes(ofHexadecimal: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
    let zero = [UInt8](repeating: 0, count: 32)
    let one = [UInt8](zero.dropLast() + [1])
    let (r, s) = (Array(good(.es).prefix(32)), Array(good(.es).suffix(32)))
    let other = base64(desk.claims(["sub": #""root""#]))
    var list: [Forgery] = []
    for signer in Desk.Signer.allCases {
      let bytes = good(signer)
      let parts = desk.token(signer).split(separator: ".")
      list += [
        Forgery("\(signer): first bit", .signature, signed(signer, flipped(bytes, 7))),
        Forgery("\(signer): last bit", .signature, signed(signer, flipped(bytes, bytes.count * 8 - 8))),
        Forgery("\(signer): cut short", .signature, signed(signer, bytes.dropLast())),
        Forgery("\(signer): a byte more", .signature, signed(signer, bytes + [0])),
        Forgery("\(signer): a byte before", .signature, signed(signer, [0] + bytes)),
        Forgery("\(signer): one byte", .signature, signed(signer, [0])),
        Forgery("\(signer): nothing but zeros", .signature, signed(signer, bytes.map { _ in 0 })),
        Forgery("\(signer): claims changed", .signature, "\(parts[0]).\(other).\(parts[2])"),
        Forgery(
          "\(signer): header changed", .signature,
          "\(base64(signer.header + " ")).\(parts[1]).\(parts[2])"),
        Forgery(
          "\(signer): of the claims without the header", .signature,
          signed(signer, desk.signature(signer, over: body))),
      ]
    }
    return list + [
      Forgery("ES256: DER", .signature, signed(.es, desk.p256.sign(text(.es), bits: 256))),
      Forgery("ES256: r and s exchanged", .signature, signed(.es, s + r)),
      Forgery("ES256: r is zero", .signature, signed(.es, zero + s)),
      Forgery("ES256: s is zero", .signature, signed(.es, r + zero)),
      Forgery("ES256: r and s are one", .signature, signed(.es, one + one)),
      Forgery("ES256: r and s are the order", .signature, signed(.es, order + order)),
      Forgery("ES256: r is the order", .signature, signed(.es, order + s)),
      Forgery("ES256: s is the order", .signature, signed(.es, r + order)),
      Forgery("ES256: r is the order plus one", .signature, signed(.es, order.dropLast() + [0x52] + s)),
      Forgery("ES256: all ones", .signature, signed(.es, [UInt8](repeating: 0xFF, count: 64))),
      Forgery("ES256: with SHA-384", .signature, signed(.es, desk.p256.signRaw(text(.es), bits: 384))),
      Forgery("ES256: another key of the curve", .signature, signed(.es, TestKey(.p256).signRaw(text(.es)))),
      Forgery(
        "ES256: a key of P-384", .signature,
        signed(.es, TestKey(.p384).signRaw(text(.es), bits: 384, width: 48))),
      Forgery("ES256: padded to 132 bytes", .signature, signed(.es, r + zero + s + zero + zero + zero)),
      Forgery("RS256: PSS", .signature, signed(.rs, desk.rsa.sign(text(.rs), bits: 256, isPSS: true))),
      Forgery("RS256: with SHA-512", .signature, signed(.rs, desk.rsa.sign(text(.rs), bits: 512))),
      Forgery(
        "RS256: another key", .signature, signed(.rs, TestKey(.rsa(bits: 2048)).sign(text(.rs), bits: 256))),
      Forgery("RS256: the modulus", .signature, signed(.rs, desk.rsa.part("n"))),
      Forgery("RS256: one", .signature, signed(.rs, [UInt8](repeating: 0, count: 255) + [1])),
      Forgery("EdDSA: another key", .signature, signed(.ed, TestKey(.ed25519).sign(text(.ed), bits: 0))),
      Forgery("EdDSA: s plus the order", .signature, signed(.ed, malleable(good(.ed)))),
      Forgery("EdDSA: R of small order, s zero", .signature, signed(.ed, [1] + zero.dropLast() + zero)),
      Forgery("HS256: half of it", .signature, signed(.hs, Array(good(.hs).prefix(16)))),
      Forgery("HS256: of an empty text", .signature, signed(.hs, hmac("", key: desk.secret))),
      Forgery("HS256: in hexadecimal", .signature, signed(.hs, Array(hexadecimal(good(.hs)).utf8))),
    ]
  }

  /// s + L of an Ed25519 signature: the same by the equation, and refused by RFC 8032, section 5.1.7.
  static func malleable(_ signature: [UInt8]) -> [UInt8] {
    let order = bytes(ofHexadecimal: "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
    var out = signature
    var carry = 0
    for n in 0..<32 {
      let sum = Int(signature[32 + n]) + Int(order[n]) + carry
      out[32 + n] = UInt8(sum & 0xFF)
      carry = sum >> 8
    }
    return out
  }

  /// Times that are over, not yet, or none.
  static var times: [Forgery] {
    func with(_ name: String, _ value: String, _ reason: AuthenticationFailure) -> Forgery {
      Forgery(
        "\(name) \(value.isEmpty ? "missing" : value)", reason, desk.token(claims: desk.claims([name: value]))
      )
    }
    return [
      with("exp", "", .claims), with("exp", "null", .claims), with("exp", #""1800000600""#, .claims),
      with("exp", "true", .claims), with("exp", "[1800000600]", .claims), with("exp", "{}", .claims),
      with("exp", "-1", .claims), with("exp", "-0", .claims), with("exp", "1e12", .claims),
      with("exp", "1.8E9", .claims), with("exp", "1800000600000", .claims),
      with("exp", "253402300800", .claims), with("exp", "9007199254740993", .claims),
      with("exp", "18446744073709551616", .claims), with("exp", "99999999999999999999999999999999", .claims),
      with("exp", "01800000600", .malformedToken), with("exp", "+1800000600", .malformedToken),
      with("exp", "0x6b49d200", .malformedToken), with("exp", "1800000600.", .malformedToken),
      with("exp", "NaN", .malformedToken), with("exp", "Infinity", .malformedToken),
      with("exp", "0", .expired), with("exp", "1799999940", .expired), with("exp", "1799999940.9", .expired),
      with("nbf", "1800000061", .notYetValid), with("nbf", "253402300799", .notYetValid),
      with("nbf", "null", .claims), with("nbf", #""0""#, .claims), with("nbf", "-5", .claims),
      with("nbf", "1e400", .claims), with("iat", "1800000061", .notYetValid), with("iat", #""x""#, .claims),
      with("iat", "-1.5", .claims),
      Forgery(
        "exp twice", .malformedToken,
        desk.token(claims: desk.claims(["exp": #"1,"exp":1800000600"#]))),
      Forgery(
        "exp twice, one escaped", .malformedToken,
        desk.token(claims: desk.claims(["exp": #"1,"\u0065xp":1800000600"#]))),
      Forgery(
        "exp in other case", .claims, desk.token(claims: desk.claims(["exp": "", "EXP": "1800000600"]))),
    ]
  }

  /// Whom it is from, whom it is for, and who it is.
  static var others: [Forgery] {
    func with(_ name: String, _ value: String, _ reason: AuthenticationFailure) -> Forgery {
      Forgery(
        "\(name) \(value.isEmpty ? "missing" : String(value.prefix(40)))", reason,
        desk.token(claims: desk.claims([name: value])))
    }
    let roles = (0..<33).map { "\"r\($0)\"" }.joined(separator: ",")
    let audiences = (0..<65).map { "\"a\($0)\"" }.joined(separator: ",")
    return [
      with("iss", "", .issuer), with("iss", #""https://issuer.example/""#, .issuer),
      with("iss", #""HTTPS://ISSUER.EXAMPLE""#, .issuer),
      with("iss", #"["https://issuer.example"]"#, .issuer),
      with("iss", "null", .issuer), with("iss", #""https://issuer.example\u0000""#, .issuer),
      with("aud", "", .audience), with("aud", #""other""#, .audience), with("aud", #""Engram""#, .audience),
      with("aud", "[]", .audience), with("aud", #"["other"]"#, .audience),
      with("aud", #"["engram",1]"#, .audience),
      with("aud", "null", .audience), with("aud", #"{"engram":true}"#, .audience),
      with("aud", #"[["engram"]]"#, .audience), with("aud", #""engram other""#, .audience),
      with("aud", "[\(audiences),\"engram\"]", .audience),
      with("sub", "", .agent), with("sub", #""""#, .agent), with("sub", "null", .agent),
      with("sub", "7", .agent),
      with("sub", #"["anna"]"#, .agent), with("sub", #""an\u0000na""#, .agent),
      with("sub", #""an\nna""#, .agent),
      with("sub", #""an\u0085na""#, .agent), with("sub", "\"\(String(repeating: "a", count: 257))\"", .agent),
      with("sub", #""\ud800""#, .malformedToken), with("sub", "\"an\tna\"", .malformedToken),
      with("roles", "null", .roles), with("roles", "1", .roles), with("roles", "[1]", .roles),
      with("roles", #"["a",null]"#, .roles), with("roles", #"[["admin"]]"#, .roles),
      with("roles", #"[""]"#, .roles),
      with("roles", #"{"admin":true}"#, .roles), with("roles", #"["a\u0000"]"#, .roles),
      with("roles", "[\(roles)]", .roles), with("roles", "\"\(String(repeating: "r", count: 129))\"", .roles),
      Forgery(
        "sub twice", .malformedToken, desk.token(claims: desk.claims(["sub": #""anna","sub":"root""#]))),
      Forgery(
        "sub twice, one escaped", .malformedToken,
        desk.token(claims: desk.claims(["sub": #""anna","s\u0075b":"root""#]))),
    ]
  }
}

func bytes(ofHexadecimal text: String) -> [UInt8] {
  var digits = text.compactMap { $0.hexDigitValue }[...]
  var bytes: [UInt8] = []
  while let high = digits.popFirst(), let low = digits.popFirst() { bytes.append(UInt8(high << 4 | low)) }
  return bytes
}

func hexadecimal(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
