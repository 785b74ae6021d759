internal import Access
internal import Testing

@Suite struct UsageTableTests {
  @Test func aCapHoldsForEachNameAndIsGivenBack() {
    let table = UsageTable(UsageTable.Caps(connections: 2))
    let (anna, ben) = (table.key(ClientAddress(ipv4: 1)), table.key(ClientAddress(ipv4: 2)))
    #expect(table.claim(anna, .connections))
    #expect(table.claim(anna, .connections))
    #expect(!table.claim(anna, .connections))
    #expect(table.claim(ben, .connections))
    table.release(anna, .connections)
    #expect(table.claim(anna, .connections))
    // Not capped: counted all the same.
    #expect(table.claim(anna, .bodyBytes, 1 << 40))
    #expect(table.count == 2)
    table.release(anna, .connections, 2)
    table.release(anna, .bodyBytes, 1 << 40)
    table.release(ben, .connections)
    #expect(table.count == 0)
  }

  @Test func manyAtOnceAreAllOrNothing() {
    let table = UsageTable(UsageTable.Caps(bodyBytes: 100))
    let key = table.key(ClientAddress(ipv4: 1))
    #expect(table.claim(key, .bodyBytes, 60))
    #expect(!table.claim(key, .bodyBytes, 41))
    #expect(!table.claim(key, .bodyBytes, .max))
    #expect(table.claim(key, .bodyBytes, 40))
  }

  @Test func capsThatAreLoweredTakeNothingAway() {
    let table = UsageTable()
    let key = table.key(ClientAddress(ipv4: 1))
    for _ in 0..<5 { #expect(table.claim(key, .subscriptions)) }
    table.setCaps(UsageTable.Caps(subscriptions: 3))
    #expect(!table.claim(key, .subscriptions))
    table.release(key, .subscriptions, 3)
    #expect(table.claim(key, .subscriptions))
    #expect(!table.claim(key, .subscriptions))
  }

  @Test func neighboursInANetworkShareIt() {
    let table = UsageTable(UsageTable.Caps(connections: 1))
    #expect(table.key(ClientAddress(high: 9, low: 1)) == table.key(ClientAddress(high: 9, low: 2)))
    #expect(table.key(ClientAddress(ipv4: 1)) != table.key(ClientAddress(ipv4: 2)))
  }

  @Test func threadsTogetherGetExactlyTheCap() async {
    let table = UsageTable(UsageTable.Caps(connections: 1000))
    let key = table.key(ClientAddress(ipv4: 1))
    let taken = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<8 { group.addTask { (0..<500).count { _ in table.claim(key, .connections) } } }
      return await group.reduce(0, +)
    }
    #expect(taken == 1000)
  }
}
