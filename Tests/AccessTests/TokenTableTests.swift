import Testing

@testable import Access

@Suite struct TokenTableTests {
  private static let token = "engram_0123456789"

  private func verify(_ table: TokenTable, _ token: String, now: UInt64 = 1000) -> Outcome {
    var token = token
    return token.withUTF8 { token in
      do throws(AuthenticationFailure) {
        return .accepted(try table.verify(UnsafeRawBufferPointer(token), now: now))
      } catch {
        return .refused(error)
      }
    }
  }

  private func failure(_ text: String) -> TokenFileError? {
    do throws(TokenFileError) {
      _ = try tokenTable(text)
      return nil
    } catch {
      return error
    }
  }

  @Test func findsEachTokenAndNoOther() throws {
    var lines = ["# tokens of the fleet", "", "  \t"]
    for n in 0..<500 { lines.append("agent-\(n):worker,role-\(n % 7):\(digest("token-\(n)"))") }
    let table = try tokenTable(lines.joined(separator: "\r\n"))
    #expect(table.count == 500)
    for n in 0..<500 {
      let principal = try #require(verify(table, "token-\(n)").principal)
      #expect(principal.agent == Array("agent-\(n)".utf8))
      #expect(principal.roles == ["worker", "role-\(n % 7)"])
      #expect(principal.provider == .token && principal.expiresAt == nil)
    }
    for other in ["", "token-500", "token-1 ", "Token-1", digest("token-1"), "token-1\0"] {
      #expect(verify(table, other).failure == .unknownToken, "\(other)")
    }
    #expect(verify(table, String(repeating: "t", count: 513)).failure == .oversize)
    #expect(verify(try tokenTable(""), "token-1").failure == .unknownToken)
  }

  @Test func endsAtItsSecond() throws {
    let digest = digest(Self.token)
    for expiry in [
      "1735689600", "2025-01-01T00:00:00Z", "2025-01-01T01:00:00+01:00", "2025-01-01T00:00:00.9Z",
    ] {
      let table = try tokenTable("anna:worker:\(digest):\(expiry)")
      #expect(
        verify(table, Self.token, now: 1_735_689_599).principal?.expiresAt == 1_735_689_600, "\(expiry)")
      #expect(verify(table, Self.token, now: 1_735_689_600).failure == .expired, "\(expiry)")
    }
  }

  private static let good = String(repeating: "ab", count: 32)

  @Test(
    arguments: [
      ("anna", .fields), ("anna:worker", .fields), (":worker:\(good)", .agent),
      ("an%00na:worker:\(good)", .agent),
      ("\(String(repeating: "a", count: 257)):w:\(good)", .agent), ("an%zzna:w:\(good)", .encoding),
      ("anna:w%4:\(good)", .encoding), ("anna:,w:\(good)", .roles), ("anna:w,:\(good)", .roles),
      ("anna:w,%0a:\(good)", .roles), ("anna:\(String(repeating: "r", count: 129)):\(good)", .roles),
      ("anna:\((0..<33).map { "r\($0)" }.joined(separator: ",")):\(good)", .roles),
      ("anna:w:secret", .digest), ("anna:w:\(good.dropLast())", .digest), ("anna:w:\(good)0", .digest),
      ("anna:w:\(good.dropLast())g", .digest), ("anna:w: \(good)", .digest), ("anna:w:\(good):", .expiry),
      ("anna:w:\(good):never", .expiry), ("anna:w:\(good):-1", .expiry),
      ("anna:w:\(good):2025-01-01", .expiry),
      ("anna:w:\(good):253402300800", .expiry), ("anna:w:\(good):2025-13-01T00:00:00Z", .expiry),
      ("a:b:w:\(good)", .digest), ("anna:w:engram_AAAA", .digest),
    ] as [(String, TokenLine.Fault)])
  func refusesALine(line: String, fault: TokenLine.Fault) throws {
    let error = try #require(failure("# first\nbob:w:\(String(repeating: "cd", count: 32))\n\(line)\n"))
    #expect(error.line == 3)
    #expect(error.fault == fault)
    // Nothing of the line is told: people put the wrong column there.
    #expect(error.description == "line 3 \(fault.rawValue)")
  }

  @Test func refusesADigestGivenTwice() throws {
    let error = try #require(failure("anna:w:\(Self.good)\nbob:w:\(Self.good.uppercased())"))
    #expect(error.line == 2 && error.fault == .duplicate)
  }

  @Test func hasALimit() throws {
    // The digests count up; nobody knows tokens for them.
    let digits = Array("0123456789abcdef")
    var text = ""
    for n in 0...CredentialLimits.tokensMax {
      var tail = ""
      for shift in stride(from: 28, through: 0, by: -4) { tail.append(digits[n >> shift & 15]) }
      text += "a:w:" + String(repeating: "0", count: 56) + tail + "\n"
    }
    let error = try #require(failure(text))
    #expect(error.line == CredentialLimits.tokensMax + 1 && error.fault == .tooMany)
    let long = String(repeating: "#", count: CredentialLimits.tokenFileBytesMax + 1)
    #expect(failure(long)?.fault == .tooLong)
  }

  // MARK: Lines

  @Test(
    arguments: [
      ("anna", ["worker"], nil), ("a:b,c%d e#f/ü", ["r:1", "r,2", "r 3", "#4"], 1_735_689_600),
      ("#anna", [], nil),
      ("*", ["**", "{agent}"], 0),
    ] as [(String, [String], UInt64?)])
  func aLineIsReadAsItWasWritten(agent: String, roles: [String], expiry: UInt64?) throws {
    let line = try TokenLine(agent: Array(agent.utf8), roles: roles, token: Self.token, expiresAt: expiry)
    #expect(!line.text.contains(Self.token))
    #expect(line.text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
    let table = try tokenTable(line.text + "\n")
    let principal = try #require(table.find(line.digest))
    #expect(principal.agent == Array(agent.utf8) && principal.roles == roles && principal.expiresAt == expiry)
  }

  @Test func aLineOfNobodyIsNotMade() {
    #expect(throws: TokenLine.Fault.agent) { try TokenLine(agent: [], roles: [], token: "t", expiresAt: nil) }
    #expect(throws: TokenLine.Fault.roles) {
      try TokenLine(agent: [65], roles: ["a\nb"], token: "t", expiresAt: nil)
    }
    #expect(throws: TokenLine.Fault.expiry) {
      try TokenLine(agent: [65], roles: [], token: "t", expiresAt: .max)
    }
  }

  @Test func newTokensAreOf256RandomBits() throws {
    let tokens = try (0..<100).map { _ in try #require(NewToken.make()) }
    #expect(Set(tokens).count == 100)
    for token in tokens {
      #expect(token.hasPrefix("engram_"))
      #expect(bytes(ofBase64: String(token.dropFirst(7))).count == 32)
      #expect(Array(token.utf8).withUnsafeBytes { BearerField.isToken($0) })
    }
  }

  @Test func digestsAreThoseOfTheStandard() {
    // FIPS 180-4 examples; RFC 4231, test case 2.
    #expect(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      hexadecimal(hmac("what do ya want for nothing?", key: Array("Jefe".utf8)))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
  }
}
