import Model
import Synchronization
import Testing

@testable import Access

@Suite struct TicketBookTests {
  private static let start = LogTime(microseconds: 1_800_000_000_000_000)

  private static func later(_ seconds: Double) -> LogTime {
    LogTime(microseconds: start.microseconds + UInt64(seconds * 1_000_000))
  }

  private func principal(_ agent: String = "anna", expiresAt: UInt64? = nil) -> Principal {
    Principal(agent: Array(agent.utf8), roles: ["worker"], provider: .token, expiresAt: expiresAt)
  }

  private func redeem(_ book: TicketBook, _ text: [UInt8], _ now: LogTime = start) -> Outcome {
    text.withUnsafeBytes { text in
      do throws(AuthenticationFailure) {
        return .accepted(try book.redeem(text, now: now))
      } catch {
        return .refused(error)
      }
    }
  }

  @Test func isGoodOnce() throws {
    let book = TicketBook()
    let ticket = try book.make(for: principal(expiresAt: 1_900_000_000), now: Self.start)
    #expect(bytes(ofBase64: String(decoding: ticket.text, as: UTF8.self)).count == 32)
    #expect(ticket.expiresAt == Self.later(30))
    let found = try #require(redeem(book, ticket.text, Self.later(29.9)).principal)
    #expect(found.agent == Array("anna".utf8) && found.roles == ["worker"])
    #expect(found.provider == .ticket && found.expiresAt == 1_900_000_000)
    #expect(redeem(book, ticket.text, Self.later(29.9)).failure == .ticket)
    #expect(book.count == 0)
  }

  @Test func endsAndIsThenGone() throws {
    let book = TicketBook()
    let ticket = try book.make(for: principal(), now: Self.start)
    #expect(redeem(book, ticket.text, Self.later(30)).failure == .expired)
    #expect(redeem(book, ticket.text).failure == .ticket)
  }

  @Test func endsWithTheCredential() throws {
    let book = TicketBook()
    let maker = principal(expiresAt: 1_800_000_010)
    let ticket = try book.make(for: maker, now: Self.start)
    #expect(ticket.expiresAt == Self.later(10))
    #expect(redeem(book, ticket.text, Self.later(10)).failure == .expired)
  }

  @Test func nobodyGuessesOne() throws {
    let book = TicketBook()
    let ticket = try book.make(for: principal(), now: Self.start).text
    for place in ticket.indices {
      var other = ticket
      other[place] = other[place] == 0x41 ? 0x42 : 0x41
      #expect(redeem(book, other).failure == .ticket)
    }
    for other in [
      [], Array(ticket.dropLast()), ticket + [0x41], ticket + [0], [UInt8](repeating: 0x41, count: 100_000),
    ] {
      #expect(redeem(book, other).failure == .ticket)
    }
    #expect(redeem(book, ticket).principal != nil)
  }

  @Test func hasALimitForEachAgentAndForAll() throws {
    let book = TicketBook()
    for _ in 0..<CredentialLimits.ticketsPerAgentMax { _ = try book.make(for: principal(), now: Self.start) }
    #expect(throws: TicketRefusal.agentLimit) { try book.make(for: principal(), now: Self.start) }
    // Another agent has its own, and the first one has them again when they have ended.
    _ = try book.make(for: principal("bob"), now: Self.start)
    #expect(throws: TicketRefusal.agentLimit) { try book.make(for: principal(), now: Self.later(29.9)) }
    let again = try book.make(for: principal(), now: Self.later(30))
    #expect(book.count == 1)
    #expect(redeem(book, again.text, Self.later(31)).principal != nil)
    var n = 0
    while book.count < CredentialLimits.ticketsMax {
      _ = try book.make(for: principal("agent-\(n)"), now: Self.later(40))
      n += 1
    }
    #expect(throws: TicketRefusal.limit) { try book.make(for: principal("late"), now: Self.later(40)) }
    _ = try book.make(for: principal("late"), now: Self.later(70))
    #expect(book.count == 1)
  }

  /// One that is never redeemed stands in front while many come and go: memory stays that of what waits.
  @Test func keepsNothingOfWhatIsRedeemed() throws {
    let book = TicketBook()
    _ = try book.make(for: principal("idle"), now: Self.start)
    for _ in 0..<5000 {
      let ticket = try book.make(for: principal(), now: Self.start)
      #expect(redeem(book, ticket.text).principal != nil)
    }
    #expect(book.count == 1)
    #expect(book.remembered <= 2 * 1 + 64)
  }

  @Test func oneOfManyThreadsRedeemsIt() async throws {
    let book = TicketBook()
    for _ in 0..<50 {
      let ticket = try book.make(for: principal(), now: Self.start)
      let redeemed = Atomic(0)
      await withTaskGroup(of: Bool.self) { group in
        for _ in 0..<8 {
          group.addTask { self.redeem(book, ticket.text).principal != nil }
        }
        for await isMine in group where isMine { redeemed.add(1, ordering: .relaxed) }
      }
      #expect(redeemed.load(ordering: .relaxed) == 1)
    }
  }
}
