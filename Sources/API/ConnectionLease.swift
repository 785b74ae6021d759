public import Access

/// What all connections of a loop have together. Loop thread.
public protocol ConnectionPool: BodyBudget {
  /// What the peers of all connections have left to read.
  var answers: AnswerRoom { get }
  /// So many more bytes of answers wait to be read, or fewer.
  func queued(_ bytes: Int)
  /// A connection has ended, whatever it had become.
  func leaseEnded()
}

/// What one connection takes of what is shared, from its acceptance to its end, whatever it becomes meanwhile: its
/// place among all, and its agent's and its address's shares. Loop thread.
public final class ConnectionLease: BodyBudget {
  private let pool: any ConnectionPool
  public let address: ClientAddress
  private let addresses: UsageTable
  private let agents: UsageTable
  private let addressKey: UsageTable.Key
  private var agentKey: UsageTable.Key?
  private var agentBytes = 0
  private var streamsAgent: UsageTable.Key?
  private var bytes = 0
  /// Bytes of answers that wait to be read.
  private var answerBytes = 0
  private var hasEnded = false

  /// - Returns: nil if the address has as many connections as it may.
  public init?(
    _ pool: any ConnectionPool, address: ClientAddress, addresses: UsageTable, agents: UsageTable
  ) {
    self.pool = pool
    self.address = address
    self.addresses = addresses
    self.agents = agents
    addressKey = addresses.key(address)
    if !addresses.claim(addressKey, .connections) {
      // Nothing was taken: nothing is given back.
      hasEnded = true
      return nil
    }
  }

  deinit { end() }

  /// The connection is an agent's from here on, or another agent's.
  /// - Returns: whether the agent may have one more.
  public func belongs(to agent: UnsafeRawBufferPointer) -> Bool {
    guard !hasEnded else { return true }
    let key = agents.key(agent: agent)
    guard key != agentKey else { return true }
    guard agents.claim(key, .connections) else { return false }
    leaveAgent()
    agentKey = key
    // What waits is in its way too.
    _ = agents.claim(key, .answerBytes, answerBytes)
    return true
  }

  private func leaveAgent() {
    guard let agentKey else { return }
    if agentBytes > 0 { agents.release(agentKey, .bodyBytes, agentBytes) }
    agentBytes = 0
    agents.release(agentKey, .answerBytes, answerBytes)
    agents.release(agentKey, .connections)
    self.agentKey = nil
  }

  /// The connection becomes a stream of its agent.
  /// - Returns: whether the agent may have one more.
  public func beginStream() -> Bool {
    guard let agentKey, streamsAgent == nil else { return true }
    guard agents.claim(agentKey, .subscriptions) else { return false }
    streamsAgent = agentKey
    return true
  }

  // MARK: BodyBudget

  public func charge(_ count: Int) -> Bool {
    guard !hasEnded else { return false }
    if let agentKey, !agents.claim(agentKey, .bodyBytes, count) { return false }
    let agentTook = agentKey == nil ? 0 : count
    if !addresses.claim(addressKey, .bodyBytes, count) {
      giveBackToAgent(agentTook)
      return false
    }
    guard pool.charge(count) else {
      giveBackToAgent(agentTook)
      addresses.release(addressKey, .bodyBytes, count)
      return false
    }
    agentBytes += agentTook
    bytes += count
    return true
  }

  private func giveBackToAgent(_ count: Int) {
    if let agentKey, count > 0 { agents.release(agentKey, .bodyBytes, count) }
  }

  public func uncharge(_ count: Int) {
    let count = min(count, bytes)
    guard count > 0 else { return }
    bytes -= count
    let ofAgent = min(count, agentBytes)
    giveBackToAgent(ofAgent)
    agentBytes -= ofAgent
    addresses.release(addressKey, .bodyBytes, count)
    pool.uncharge(count)
  }

  // MARK: Answers that wait to be read

  /// How many bytes do by now. Counted for all connections, the address and the agent.
  public func holdsAnswers(_ count: Int) {
    guard !hasEnded, count != answerBytes else { return }
    let more = count - answerBytes
    answerBytes = count
    pool.queued(more)
    add(more, addresses, addressKey)
    if let agentKey { add(more, agents, agentKey) }
  }

  private func add(_ more: Int, _ table: UsageTable, _ key: UsageTable.Key) {
    // Nothing caps them: what is refused depends on what there is in all.
    if more > 0 { _ = table.claim(key, .answerBytes, more) } else { table.release(key, .answerBytes, -more) }
  }

  /// Bytes that wait for the agent; where nobody is known, for the address.
  private var heldAnswerBytes: Int {
    agentKey.map { agents.held($0, .answerBytes) } ?? addresses.held(addressKey, .answerBytes)
  }

  /// Whether an answer of so many bytes may be begun.
  public func admitsAnswer(of bytes: Int) -> Bool { pool.answers.admits(bytes, held: heldAnswerBytes) }

  /// Whether the peer has to take what waits at a pace, since others need the room.
  public var isPressed: Bool { pool.answers.presses(held: heldAnswerBytes) }

  // MARK: The end

  /// The socket has closed. Once; what comes later has no effect.
  public func end() {
    guard !hasEnded else { return }
    uncharge(bytes)
    holdsAnswers(0)
    hasEnded = true
    if let streamsAgent { agents.release(streamsAgent, .subscriptions) }
    streamsAgent = nil
    leaveAgent()
    addresses.release(addressKey, .connections)
    pool.leaseEnded()
  }
}
