internal import Bytes

/// What an idempotency key is called among those of all agents: u16 length of the agent's id, big-endian, the
/// agent's id, the key. The store's keys end with it.
public enum IdempotencyName {
  public static func make(agent: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> [UInt8] {
    var name: [UInt8] = []
    name.reserveCapacity(2 + agent.count + key.count)
    name.append(UInt8(truncatingIfNeeded: agent.count >> 8))
    name.append(UInt8(truncatingIfNeeded: agent.count))
    name.append(contentsOf: agent)
    name.append(contentsOf: key)
    return name
  }
}
