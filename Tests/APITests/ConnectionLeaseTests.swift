internal import Access
internal import Testing

@testable import API

@Suite struct ConnectionLeaseTests {
  private final class Pool: ConnectionPool {
    var bytes = 0
    var bytesMax = 1000
    var ended = 0
    var answers = AnswerRoom(waiting: 0, most: 1600)

    func charge(_ count: Int) -> Bool {
      guard bytes + count <= bytesMax else { return false }
      bytes += count
      return true
    }

    func uncharge(_ count: Int) { bytes -= count }

    func queued(_ bytes: Int) { answers.waiting += bytes }

    func leaseEnded() { ended += 1 }
  }

  private let pool = Pool()
  private let here = ClientAddress(ipv4: 1)

  private func lease(_ addresses: UsageTable = UsageTable(), _ agents: UsageTable = UsageTable())
    -> ConnectionLease?
  {
    ConnectionLease(pool, address: here, addresses: addresses, agents: agents)
  }

  private func belongs(_ lease: ConnectionLease?, _ agent: String) -> Bool? {
    Array(agent.utf8).withUnsafeBytes { lease?.belongs(to: $0) }
  }

  @Test func anAddressHasSoManyAndGetsThemBack() {
    let addresses = UsageTable(UsageTable.Caps(connections: 2))
    let first = lease(addresses)
    var second = lease(addresses)
    #expect(first != nil && second != nil)
    #expect(lease(addresses) == nil)
    // Who got none gives none back.
    #expect(pool.ended == 0)
    second?.end()
    second?.end()
    #expect(pool.ended == 1)
    second = nil
    #expect(pool.ended == 1)
    #expect(lease(addresses) != nil)
    first?.end()
    #expect(addresses.count == 0)
  }

  @Test func oneThatIsForgottenEndsAllTheSame() {
    let addresses = UsageTable(UsageTable.Caps(connections: 1))
    do { _ = lease(addresses) }
    #expect(pool.ended == 1)
    #expect(addresses.count == 0)
  }

  @Test func aConnectionIsOneAgentsAtATime() {
    let agents = UsageTable(UsageTable.Caps(connections: 1))
    let (one, other) = (lease(UsageTable(), agents), lease(UsageTable(), agents))
    #expect(belongs(one, "anna") == true)
    #expect(belongs(one, "anna") == true)
    #expect(belongs(other, "anna") == false)
    #expect(belongs(other, "ben") == true)
    // Another credential on the same connection.
    #expect(belongs(one, "carl") == true)
    #expect(belongs(other, "anna") == true)
    one?.end()
    other?.end()
    #expect(agents.count == 0)
  }

  @Test func streamsAreCountedForTheAgentThatOpenedThem() {
    let agents = UsageTable(UsageTable.Caps(subscriptions: 1))
    let (one, other) = (lease(UsageTable(), agents), lease(UsageTable(), agents))
    // Nobody's: not counted.
    #expect(lease(UsageTable(), agents)?.beginStream() == true)
    _ = belongs(one, "anna")
    _ = belongs(other, "anna")
    #expect(one?.beginStream() == true)
    #expect(other?.beginStream() == false)
    one?.end()
    #expect(other?.beginStream() == true)
    other?.end()
    #expect(agents.count == 0)
  }

  @Test func bytesAreAllOrNothingOverThreeBudgets() {
    let addresses = UsageTable(UsageTable.Caps(bodyBytes: 500))
    let agents = UsageTable(UsageTable.Caps(bodyBytes: 300))
    let lease = lease(addresses, agents)
    #expect(lease?.charge(200) == true)
    _ = belongs(lease, "anna")
    #expect(lease?.charge(301) == false)
    #expect(lease?.charge(300) == true)
    #expect(pool.bytes == 500)
    // The address has none left; the agent's and the pool's share is given back.
    #expect(lease?.charge(1) == false)
    lease?.uncharge(400)
    #expect(pool.bytes == 100)
    pool.bytesMax = 100
    #expect(lease?.charge(1) == false)
    pool.bytesMax = 1000
    #expect(lease?.charge(300) == true)
    // More than was taken is not given back.
    lease?.uncharge(10_000)
    #expect(pool.bytes == 0)
    #expect(lease?.charge(250) == true)
    lease?.end()
    #expect(pool.bytes == 0)
    #expect(addresses.count == 0 && agents.count == 0)
    #expect(lease?.charge(1) == false)
  }

  @Test func anotherAgentDoesntInheritBytes() {
    let agents = UsageTable(UsageTable.Caps(bodyBytes: 100))
    let lease = lease(UsageTable(), agents)
    _ = belongs(lease, "anna")
    #expect(lease?.charge(100) == true)
    _ = belongs(lease, "ben")
    #expect(lease?.charge(100) == true)
    lease?.uncharge(200)
    #expect(pool.bytes == 0)
    lease?.end()
    #expect(agents.count == 0)
  }

  @Test func whoDoesntReadKeepsNobodyElseFromAnswers() {
    let (addresses, agents) = (UsageTable(), UsageTable())
    let leases = (0..<4).map { _ in lease(addresses, agents) }
    for (lease, agent) in zip(leases, ["anna", "anna", "anna", "ben"]) { _ = belongs(lease, agent) }
    leases[0]?.holdsAnswers(500)
    #expect(leases[1]?.admitsAnswer(of: 500) == true)
    leases[1]?.holdsAnswers(500)
    // Half is gone: anna, whatever the connection, gets no more and has to read; ben is served.
    #expect(leases.map { $0?.admitsAnswer(of: 500) } == [false, false, false, true])
    #expect(leases.map { $0?.isPressed } == [true, true, true, false])
    leases[3]?.holdsAnswers(500)
    #expect(leases[3]?.admitsAnswer(of: 500) == false)
    leases[0]?.holdsAnswers(0)
    leases[1]?.end()
    #expect(pool.answers.waiting == 500)
    #expect(leases[0]?.admitsAnswer(of: 500) == true)
    for lease in leases { lease?.end() }
    #expect(pool.answers.waiting == 0)
    #expect(addresses.count == 0 && agents.count == 0)
  }

  @Test func whereNobodyIsKnownTheAddressHasTheShare() {
    let addresses = UsageTable()
    let (one, other) = (lease(addresses), lease(addresses))
    let elsewhere = ConnectionLease(
      pool, address: ClientAddress(ipv4: 2), addresses: addresses, agents: UsageTable())
    one?.holdsAnswers(1000)
    #expect(other?.admitsAnswer(of: 1) == false)
    #expect(elsewhere?.admitsAnswer(of: 1000) == true)
    one?.end()
    // What comes after the end isn't counted.
    one?.holdsAnswers(1000)
    #expect(pool.answers.waiting == 0)
  }

  @Test func whatWaitsGoesToTheAgentOfTheConnection() {
    let agents = UsageTable()
    let lease = lease(UsageTable(), agents)
    lease?.holdsAnswers(100)
    _ = belongs(lease, "anna")
    lease?.holdsAnswers(1000)
    _ = belongs(lease, "ben")
    let (anna, ben) = (Array("anna".utf8), Array("ben".utf8))
    #expect(anna.withUnsafeBytes { agents.held(agents.key(agent: $0), .answerBytes) } == 0)
    #expect(ben.withUnsafeBytes { agents.held(agents.key(agent: $0), .answerBytes) } == 1000)
    lease?.end()
    #expect(agents.count == 0)
  }
}
