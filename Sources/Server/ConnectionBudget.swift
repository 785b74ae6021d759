internal import Access
internal import Synchronization
internal import Telemetry

/// What the connections of all loops have in common. Any thread.
final class ConnectionBudget: Sendable {
  let bodyBytes = Atomic<Int>(0)
  let bodiesRefused = Atomic<UInt64>(0)
  let connectionsRefused = Atomic<UInt64>(0)
  /// Of these: because their address has as many as it may.
  let connectionsOverShare = Atomic<UInt64>(0)
  /// Connections that speak HTTP.
  let connections = Atomic<Int>(0)
  /// All of them, streams too.
  let open = Atomic<Int>(0)
  /// Bytes of large answers that wait to be sent.
  let answerBytes = Atomic<Int>(0)
  let isDraining = Atomic<Bool>(false)
  /// What each agent and each address has open.
  let agents = UsageTable()
  let addresses = UsageTable()
  /// Connections that were ended by the clock, by `ConnectionClock.Lapse`.
  private let lapses = ConnectionClock.Lapse.allCases.map { _ in Counter() }

  init(_ caps: CapSettings = CapSettings()) { setCaps(caps) }

  /// Holds from now on: who has more keeps it.
  func setCaps(_ caps: CapSettings) {
    agents.setCaps(
      UsageTable.Caps(
        connections: caps.connectionsPerAgentMax, subscriptions: caps.subscriptionsPerAgentMax,
        bodyBytes: caps.inflightBytesPerAgentMax))
    addresses.setCaps(
      UsageTable.Caps(connections: caps.connectionsPerAddressMax, bodyBytes: caps.inflightBytesPerAddressMax))
  }

  func counter(_ lapse: ConnectionClock.Lapse) -> Counter { lapses[lapse.rawValue] }
}
