import Model
import Testing

@testable import Access

@Suite struct AuthenticatorTests {
  private static let desk = Desk.shared
  private static let file = "bob:worker:\(digest("engram_bob"))\neve:spy:\(digest("a.b.c")):1800000100\n"

  private func outcome(_ authenticator: Authenticator, _ text: String, now: UInt64 = desk.now) -> Outcome {
    var text = text
    return text.withUTF8 { text in
      let text = UnsafeRawBufferPointer(text)
      #expect(
        (authenticator.authenticate(bearer: text, now: now) != nil)
          == (try? authenticator.verify(bearer: text, now: now)).map { _ in true } ?? false)
      do throws(AuthenticationFailure) {
        return .accepted(try authenticator.verify(bearer: text, now: now))
      } catch {
        return .refused(error)
      }
    }
  }

  @Test func eachProviderIsAskedInTurn() throws {
    let desk = Self.desk
    let (tokens, verifier) = (try tokenTable(Self.file), Desk.verifier)
    for sources in [[.tokens(tokens), .jwt(verifier)], [.jwt(verifier), .tokens(tokens)]]
      as [[Authenticator.Source]]
    {
      let both = Authenticator(sources)
      #expect(outcome(both, "engram_bob").principal?.provider == .token)
      #expect(outcome(both, desk.token(.es)).principal?.provider == .jwt)
      // A token of the file may look like a JWT.
      #expect(outcome(both, "a.b.c").principal?.agent == Array("eve".utf8))
      #expect(outcome(both, "engram_bo").failure != nil)
      // What is told to the audit is what the provider of its kind says.
      #expect(outcome(both, desk.token(claims: desk.claims(["exp": "1"]))).failure == .expired)
      #expect(outcome(both, "a.b.c", now: 1_800_000_100).failure == .expired)
    }
    #expect(outcome(Authenticator([.tokens(tokens)]), desk.token()).failure == .unknownToken)
    #expect(outcome(Authenticator([.jwt(verifier)]), "engram_bob").failure == .malformedToken)
  }

  @Test func withoutAProviderNobodyComesIn() throws {
    let certificates = Authenticator([.certificates(CertificateNaming(MutualTLSSettings()))])
    #expect(certificates.takesCertificates)
    #expect(outcome(certificates, "engram_bob").failure == .noProvider)
    let tokens = Authenticator([.tokens(try tokenTable(Self.file))])
    #expect(!tokens.takesCertificates)
    var certificate = PeerCertificate()
    certificate.uris = [Array("spiffe://x/anna".utf8)]
    #expect(throws: AuthenticationFailure.noProvider) { try tokens.verify(certificate: certificate, now: 0) }
    #expect(certificates.authenticate(certificate: certificate, now: 0)?.agent == certificate.uris[0])
  }

  // MARK: Reloads

  @Test func aTokenIsRenewedByItsLine() throws {
    let before = Authenticator([.tokens(try tokenTable(Self.file))])
    let bob = try #require(outcome(before, "engram_bob").principal)
    #expect(before.renew(bob, now: 0)?.roles == ["worker"])
    let digest = digest("engram_bob")
    func after(_ line: String, now: UInt64 = 1) throws -> Principal? {
      Authenticator([.tokens(try tokenTable(line))]).renew(bob, now: now)
    }
    #expect(try after("bob:other:\(digest)")?.roles == ["other"])
    #expect(try after("bob:other:\(digest):100", now: 99)?.expiresAt == 100)
    #expect(try after("bob:other:\(digest):100", now: 100) == nil)
    #expect(try after("bob:worker:\(String(repeating: "0", count: 64))") == nil)
    #expect(try after("eve:worker:\(digest)") == nil)
    #expect(Authenticator([]).renew(bob, now: 0) == nil)
    #expect(before.renew(Principal(agent: [65], roles: [], provider: .token), now: 0) == nil)
  }

  @Test func aJWTIsRenewedWhileItsKeyIsThere() throws {
    let desk = Self.desk
    let before = Authenticator([.jwt(Desk.verifier)])
    let anna = try #require(outcome(before, desk.token(.es)).principal)
    func after(_ keys: [String], _ settings: JWTSettings = Desk.settings) throws -> Principal? {
      Authenticator([.jwt(try desk.verifier(settings, keys: keys))]).renew(anna, now: desk.now)
    }
    #expect(try after([desk.p256Key, desk.rsaKey]) != nil)
    #expect(try after([desk.p256Key.replacing("\"es\"", with: "\"renamed\"")]) != nil)
    #expect(try after([desk.rsaKey]) == nil)
    var strict = Desk.settings
    strict.audiences = ["engram-2"]
    #expect(try after([desk.p256Key], strict) == nil)
    #expect(before.renew(anna, now: desk.now + 660) == nil)
  }

  @Test func aCertificateIsRenewedByWhomItNames() throws {
    var certificate = PeerCertificate()
    certificate.uris = [[65]]
    certificate.commonNames = [[66]]
    var settings = MutualTLSSettings()
    let anna = try CertificateNaming(settings).verify(certificate, now: 0)
    settings.roles = ["new"]
    #expect(Authenticator([.certificates(CertificateNaming(settings))]).renew(anna, now: 0)?.roles == ["new"])
    settings.agentFrom = .commonName
    #expect(Authenticator([.certificates(CertificateNaming(settings))]).renew(anna, now: 0) == nil)
  }

  @Test func aCertificateEndsWithItsAuthorities() throws {
    let naming = Authenticator.Source.certificates(CertificateNaming(MutualTLSSettings()))
    var certificate = PeerCertificate()
    certificate.uris = [[65]]
    certificate.authorityGeneration = 3
    let before = Authenticator([naming], authorityGeneration: 3)
    let anna = try before.verify(certificate: certificate, now: 0)
    #expect(before.renew(anna, now: 0) != nil)
    let same = Authenticator([naming], authorityGeneration: 3)
    #expect(same.renew(anna, now: 0)?.agent == [65])
    for generation in [0, 2, 4] as [UInt64] {
      let after = Authenticator([naming], authorityGeneration: generation)
      #expect(after.renew(anna, now: 0) == nil, "\(generation)")
      #expect(throws: AuthenticationFailure.authority) { try after.verify(certificate: certificate, now: 0) }
    }
    // `mtls` has left the providers.
    let tokens = Authenticator([.tokens(try tokenTable(Self.file))], authorityGeneration: 3)
    #expect(tokens.renew(anna, now: 0) == nil)
    // What isn't a certificate's has no authority.
    let bob = try #require(outcome(tokens, "engram_bob").principal)
    #expect(
      Authenticator([.tokens(try tokenTable(Self.file))], authorityGeneration: 4).renew(bob, now: 0) != nil)
    // Nor does a ticket outlive the certificate that it was made by.
    let book = TicketBook()
    for (generation, isGood) in [(3, true), (4, false)] as [(UInt64, Bool)] {
      let ticket = try book.make(for: anna, now: LogTime(microseconds: 0))
      let after = Authenticator([naming], authorityGeneration: generation)
      let found = ticket.text.withUnsafeBytes {
        try? after.verify(ticket: $0, in: book, now: LogTime(microseconds: 1))
      }
      #expect((found != nil) == isGood, "\(generation)")
    }
  }

  @Test func aTicketEndsWithTheTokenThatMadeIt() throws {
    let now = LogTime(microseconds: Self.desk.now * 1_000_000)
    let before = Authenticator([.tokens(try tokenTable(Self.file))])
    let after = Authenticator([.tokens(try tokenTable("eve:spy:\(digest("a.b.c"))"))])
    let book = TicketBook()
    let bob = try #require(outcome(before, "engram_bob").principal)
    func redeem(_ authenticator: Authenticator) throws -> Principal? {
      let ticket = try book.make(for: bob, now: now)
      return ticket.text.withUnsafeBytes { try? authenticator.verify(ticket: $0, in: book, now: now) }
    }
    #expect(try redeem(before)?.agent == bob.agent)
    #expect(try redeem(after) == nil)
    #expect(book.count == 0)
  }
}
