import Access
import CAccessTesting
import Testing

@Suite struct CertificateTests {
  private static let key = TestKey(.p256)
  private static let now: UInt64 = 1_800_000_000

  private func read(_ der: [UInt8]) -> PeerCertificate? { der.withUnsafeBytes { PeerCertificate(der: $0) } }

  private func outcome(
    _ certificate: PeerCertificate, from name: CertificateName, now: UInt64 = Self.now
  ) -> Outcome {
    var settings = MutualTLSSettings()
    settings.agentFrom = name
    settings.roles = ["service"]
    do throws(AuthenticationFailure) {
      return .accepted(try CertificateNaming(settings).verify(certificate, now: now))
    } catch {
      return .refused(error)
    }
  }

  @Test func namesAreReadByKind() throws {
    let der = Self.key.certificate(
      alternative: "URI:spiffe://x.example/anna,DNS:a.example,DNS:b.example,email:anna@x.example,IP:10.0.0.1",
      common: [Array("Anna".utf8)], notAfter: 1_900_000_000)
    let certificate = try #require(read(der))
    #expect(certificate.uris == [Array("spiffe://x.example/anna".utf8)])
    #expect(certificate.dnsNames == ["a.example", "b.example"].map { Array($0.utf8) })
    #expect(certificate.emails == [Array("anna@x.example".utf8)])
    #expect(certificate.commonNames == [Array("Anna".utf8)])
    #expect(certificate.notAfter == 1_900_000_000)
  }

  @Test func theOneNameOfTheKindIsTheAgent() throws {
    let der = Self.key.certificate(
      alternative: "URI:spiffe://x.example/anna,DNS:a.example,DNS:b.example,email:anna@x.example",
      common: [Array("Anna".utf8)])
    let certificate = try #require(read(der))
    let principal = try #require(outcome(certificate, from: .uri).principal)
    #expect(principal.agent == Array("spiffe://x.example/anna".utf8))
    #expect(principal.roles == ["service"] && principal.provider == .mtls)
    #expect(principal.expiresAt == 2_000_000_000)
    #expect(outcome(certificate, from: .commonName).principal?.agent == Array("Anna".utf8))
    #expect(outcome(certificate, from: .email).principal?.agent == Array("anna@x.example".utf8))
    // Two of them: which one it is would be the client's choice.
    #expect(outcome(certificate, from: .dns).failure == .certificateName)
    #expect(outcome(certificate, from: .uri, now: 2_000_000_000).failure == .expired)
  }

  @Test func aNameOfAnotherKindIsNone() throws {
    let plain = try #require(read(Self.key.certificate(common: [Array("anna".utf8)])))
    for name in [CertificateName.uri, .dns, .email] {
      #expect(outcome(plain, from: name).failure == .certificateName)
    }
    let twice = try #require(read(Self.key.certificate(common: [Array("anna".utf8), Array("root".utf8)])))
    #expect(outcome(twice, from: .commonName).failure == .certificateName)
    let nameless = try #require(read(Self.key.certificate()))
    #expect(outcome(nameless, from: .commonName).failure == .certificateName)
  }

  /// `admin` and a zero byte: in C the name would end there.
  @Test func zeroBytesAndControlCharactersAreRefused() throws {
    var der = Self.key.certificate(alternative: "DNS:admin#.evil.example")
    #expect(test_replace(&der, der.count, "admin#", "admin\0", 6) == 1)
    let dns = try #require(read(der))
    #expect(dns.dnsNames == [Array("admin\0.evil.example".utf8)])
    #expect(outcome(dns, from: .dns).failure == .agent)
    for name in ["an\0na", "an\nna", "\u{85}anna", ""] {
      let certificate = try #require(read(Self.key.certificate(common: [Array(name.utf8)])))
      #expect(outcome(certificate, from: .commonName).principal == nil, "\(name.debugDescription)")
    }
    var long = PeerCertificate()
    long.uris = [Array(repeating: 97, count: 257)]
    #expect(outcome(long, from: .uri).failure == .agent)
    long.uris = [[0xFF, 0xFE]]
    #expect(outcome(long, from: .uri).failure == .agent)
  }

  @Test func whatIsNoCertificateHasNoNames() {
    let der = Self.key.certificate(alternative: "DNS:a.example", common: [Array("anna".utf8)])
    #expect(read(der) != nil)
    #expect(read([]) == nil)
    #expect(read(der + [0]) == nil)
    #expect(read([UInt8](repeating: 0x30, count: CredentialLimits.certificateBytesMax + 1)) == nil)
    for count in 0..<der.count { #expect(read(Array(der[..<count])) == nil, "cut to \(count)") }
    // Flipped bytes: no crash, and never the name of somebody who isn't there.
    for place in der.indices {
      var other = der
      other[place] ^= 0xFF
      if let certificate = read(other) { #expect(certificate.commonNames.count <= 1) }
    }
  }
}
