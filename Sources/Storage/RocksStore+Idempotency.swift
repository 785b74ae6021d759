internal import CRocksDB
internal import Model

extension RocksStore {
  public func keptAnswer(_ name: [UInt8], tier: ReadTier) throws(StoreError) -> Lookup<KeptAnswer> {
    try checkOpen("look up an idempotency key")
    return try database.get(.idempotency, StoreKey.idempotency(name), tier, for: "look up an idempotency key")
    {
      value throws(StoreError) in
      guard let answer = KeptAnswer(value) else {
        throw .damaged(
          "look up an idempotency key", "an entry of `idempotency` is malformed (\(value.count) bytes)")
      }
      return answer
    }
  }
}

extension KeptAnswer {
  /// A value of `idempotency`.
  init?(_ value: UnsafeRawBufferPointer) {
    guard let high: UInt64 = value.number(at: 0), let low: UInt64 = value.number(at: 8),
      let first: UInt64 = value.number(at: 16), first > 0, let last: UInt64 = value.number(at: 24),
      let time: UInt64 = value.number(at: 32)
    else { return nil }
    self.init(
      requestHash: ContentHash(high: high, low: low), first: Position(first), last: Position(last),
      logTime: LogTime(microseconds: time))
  }
}

extension StoreKey {
  /// `name` as `IdempotencyName` spells it.
  static func idempotency(_ name: [UInt8], namespace: UInt16 = namespace) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(2 + name.count)
    append(namespace, to: &key)
    key.append(contentsOf: name)
    return key
  }
}

extension ScratchBytes {
  /// A key of `agents` or `idempotency`: what is an agent's, by its id.
  func setAgentKey(_ namespace: UInt16, _ agent: UnsafeRawBufferPointer, _ rest: UnsafeRawBufferPointer) {
    count = 0
    big(namespace)
    big(UInt16(truncatingIfNeeded: agent.count))
    run(agent)
    run(rest)
  }
}

extension ApplyWriter {
  /// The key and the value of `idempotency` that an event stands for, if it carries a key.
  func putKey(_ event: EventView, _ family: OpaquePointer) {
    guard let mark = event.idempotency, let agent = event.agentID else { return }
    let answer = KeptAnswer(requestHash: mark.requestHash, firstUnit: event)
    key.setAgentKey(event.namespace, agent, mark.key)
    value.count = 0
    value.little(answer.requestHash.high)
    value.little(answer.requestHash.low)
    value.little(answer.first.rawValue)
    value.little(answer.last.rawValue)
    value.little(answer.logTime.microseconds)
    engram_batch_put(batch, family, key.base, key.count, value.base, value.count)
  }
}
