@testable internal import Access
internal import Bytes

/// Credentials and what they are checked against. The first byte of an input chooses:
/// - 0: a token as it comes; nothing that isn't signed by the one key is accepted, and nothing whose claims a plain
///   reader finds wanting;
/// - 1: a header and claims, with a zero byte between them, signed with the key: as before, and changed by one bit it is
///   refused;
/// - 2: a JWKS file; 3: a token file, whose lines written anew are read as they were; 4: a value of `Authorization`.
enum Token {
  private static let secret = [UInt8](repeating: 0x5a, count: 32)
  private static let now: UInt64 = 1_700_000_000

  static func run(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let rest = Array(input[1...])
    switch first % 5 {
    case 0: verify(rest)
    case 1: signed(rest)
    case 2: keys(rest)
    case 3: tokens(rest)
    default: field(rest)
    }
  }

  // MARK: Tokens

  private static let settings: JWTSettings = {
    var settings = JWTSettings()
    settings.issuer = "i"
    settings.audiences = ["engram"]
    settings.rolesClaim = "r.roles"
    settings.leewaySeconds = 5
    return settings
  }()

  private static let verifier: JWTVerifier = {
    let file = #"{"keys":[{"kty":"oct","kid":"k","alg":"HS256","k":"\#(base64(secret))"}]}"#
    guard let keys = Array(file.utf8).withUnsafeBytes({ try? KeySet(parsing: $0) }) else {
      fatalError("the key isn't taken")
    }
    return JWTVerifier(settings, keys: keys)
  }()

  private static func base64(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.withUnsafeBytes { Base64.encodeURL($0) }, as: UTF8.self)
  }

  private static func code(_ text: [UInt8]) -> [UInt8] {
    text.withUnsafeBytes { SHA256(hmacOf: $0, key: secret) }?.withBytes { [UInt8]($0) } ?? []
  }

  @discardableResult
  private static func verify(_ token: [UInt8]) -> Principal? {
    let bytes = UnsafeRawBufferPointer(Fenced.copy(token))
    let principal: Principal
    do throws(AuthenticationFailure) { principal = try verifier.verify(bytes, now: now) } catch { return nil }
    demand(
      isGood(token, principal), "accepted: \(shown(token)) as \(shown(principal.agent)), \(principal.roles)")
    return principal
  }

  private static func signed(_ input: [UInt8]) {
    let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
    let text = Array("\(base64(parts[0])).\(base64(parts.count > 1 ? parts[1] : []))".utf8)
    let token = text + Array(".\(base64(code(text)))".utf8)
    guard verify(token) != nil else { return }
    var chance = Chance(input)
    for _ in 0..<4 {
      var forged = token
      let place = Int.random(in: 0..<forged.count, using: &chance)
      forged[place] ^= 1 << UInt8.random(in: 0..<8, using: &chance)
      demand(verify(forged) == nil, "changed at \(place), it is still accepted: \(shown(forged))")
    }
    demand(verify(Array(token.dropLast())) == nil && verify(token + [0x2e]) == nil, "cut or extended")
    let none =
      Array("\(base64(Array(#"{"alg":"none"}"#.utf8))).".utf8)
      + text[(text.firstIndex(of: 0x2e) ?? 0)...].dropFirst()
    demand(verify(none + [0x2e]) == nil, "without a signature it is accepted")
  }

  static func prove() {
    let claims = #"{"exp":1700000100,"iss":"i","aud":"engram","sub":"a","r":{"roles":"w x"}}"#
    let text = Array("\(base64(Array(#"{"alg":"HS256"}"#.utf8))).\(base64(Array(claims.utf8)))".utf8)
    let principal = verify(text + Array(".\(base64(code(text)))".utf8))
    demand(principal?.roles == ["w", "x"], "a good token is refused")
  }

  /// By RFC 7515 and 7519 and the settings, from the text alone.
  private static func isGood(_ token: [UInt8], _ principal: Principal) -> Bool {
    let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map(Array.init)
    guard parts.count == 3, let headerText = decoded(parts[0]), let claimsText = decoded(parts[1]),
      decoded(parts[2]) == code(parts[0] + [0x2e] + parts[1]), let header = NaiveJSON.value(of: headerText),
      let claims = NaiveJSON.value(of: claimsText), header["alg"]?.text == Array("HS256".utf8),
      header["kid"] == nil || header["kid"]?.text == [UInt8(ascii: "k")], header["crit"] == nil,
      header["cty"] == nil, header["jwk"] == nil
    else { return false }
    guard let end = time(claims["exp"]), now < end + 5,
      claims["nbf"] == nil || time(claims["nbf"]) ?? .max <= now + 5,
      claims["iss"]?.text == [UInt8(ascii: "i")], let agent = claims["sub"]?.text, agent == principal.agent,
      agent.isText, (1...256).contains(agent.count), principal.expiresAt == end + 5
    else { return false }
    let audiences = claims["aud"]?.list?.map(\.text) ?? [claims["aud"]?.text]
    guard audiences.contains(Array("engram".utf8)) else { return false }
    let roles = claims["r"]?["roles"]
    let named =
      roles?.list?.map { $0.text ?? [] } ?? roles?.text.map { $0.split(separator: 0x20).map(Array.init) }
      ?? []
    return Set(principal.roles.map { Array($0.utf8) }) == Set(named)
  }

  private static func time(_ value: NaiveJSON.Value?) -> UInt64? {
    guard case .number(let text) = value else { return nil }
    return UInt64(String(decoding: text.prefix { $0 != UInt8(ascii: ".") }, as: UTF8.self))
  }

  /// Canonical base64url without padding.
  private static func decoded(_ text: [UInt8]) -> [UInt8]? {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var bytes: [UInt8] = []
    var (held, bits) = (0, 0)
    for byte in text {
      guard let value = alphabet.firstIndex(of: byte) else { return nil }
      (held, bits) = (held << 6 | value, bits + 6)
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(held >> bits))
        held &= 1 << bits - 1
      }
    }
    return text.count % 4 != 1 && held == 0 ? bytes : nil
  }

  // MARK: Files

  private static func keys(_ text: [UInt8]) {
    let bytes = UnsafeRawBufferPointer(Fenced.copy(text))
    let keys: KeySet
    do throws(KeySetError) { keys = try KeySet(parsing: bytes) } catch {
      return demand(!error.description.isEmpty, "nothing to tell")
    }
    guard let list = NaiveJSON.value(of: text)?["keys"]?.list else {
      return demand(false, "no key set: \(shown(text))")
    }
    demand((1...list.count).contains(keys.keys.count), "\(keys.keys.count) keys of \(list.count)")
    let hasSecret = list.contains { $0["kty"]?.text == Array("oct".utf8) }
    demand(!keys.holdsSecrets || hasSecret, "a secret of another type")
    demand(keys.keys.allSatisfy { keys.holds($0.fingerprint) }, "a key that isn't found again")
  }

  private static func tokens(_ text: [UInt8]) {
    let bytes = UnsafeRawBufferPointer(Fenced.copy(text))
    let isTaken: Bool
    do throws(TokenFileError) {
      let table = try TokenTable(parsing: bytes)
      isTaken = table.count > 0
      let unknown = UnsafeRawBufferPointer(Fenced.copy(Array("engram_unknown".utf8)))
      demand(table.authenticates(unknown, now: now) == nil, "a token that nobody knows")
    } catch {
      isTaken = false
      demand((0...text.count + 1).contains(error.line) && !error.description.isEmpty, "\(error)")
    }
    guard isTaken else { return }
    for line in text.split(separator: 0x0a) {
      let trimmed = line.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
      guard let first = trimmed.first, first != UInt8(ascii: "#") else { continue }
      let copy = UnsafeRawBufferPointer(Fenced.copy(Array(trimmed)))
      guard let read = try? TokenLine(parsing: copy) else { return demand(false, "a line: \(shown(line))") }
      let again = Array(read.text.utf8).withUnsafeBytes { try? TokenLine(parsing: $0) }
      demand(again?.agent == read.agent && again?.digest == read.digest, "written anew: \(read.text)")
      demand(again?.roles.map { Array($0.utf8) } == read.roles.map { Array($0.utf8) }, "roles: \(read.text)")
      demand(again?.expiresAt == read.expiresAt, "expiry: \(read.text)")
    }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

  private static func field(_ value: [UInt8]) {
    let bytes = UnsafeRawBufferPointer(Fenced.copy(value))
    guard let found = try? BearerField.credential(bytes) else { return }
    let scheme = String(decoding: value.prefix(6), as: UTF8.self).lowercased()
    demand(scheme == "bearer" && value[6] == 0x20, "another scheme: \(shown(value))")
    demand(value.suffix(found.count).elementsEqual(found), "not the end of the field: \(shown(value))")
    demand(
      !found.isEmpty && found.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ",") }, "no b64token")
  }
}

extension TokenTable {
  func authenticates(_ token: UnsafeRawBufferPointer, now: UInt64) -> Principal? {
    do throws(AuthenticationFailure) { return try verify(token, now: now) } catch { return nil }
  }
}
