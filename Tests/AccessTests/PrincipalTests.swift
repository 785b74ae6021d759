import Access
import Testing

@Suite struct PrincipalTests {
  @Test func endsAtItsSecond() {
    let principal = Principal(agent: Array("anna".utf8), roles: ["worker"], provider: .token, expiresAt: 100)
    #expect(!principal.isExpired(now: 99))
    #expect(principal.isExpired(now: 100))
    #expect(!Principal(agent: [], roles: [], provider: .mtls).isExpired(now: .max))
  }
}
