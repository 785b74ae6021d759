internal import Model

/// Changes of contexts by clients: each names its number in the context's metadata, so that the event tells whose it is.
extension HistoryModel {
  /// Of the metadata that says whose change an event is.
  static let markKey = [UInt8]("by".utf8)

  static func mark(_ state: ContextState) -> UInt64? {
    state.metadata.first { $0.key == markKey }.flatMap { UInt64(String(decoding: $0.value, as: UTF8.self)) }
  }

  /// - Parameter context: before the event; its revision is 0 if it is new.
  mutating func extend(patch event: EventView, of context: Context) -> String? {
    guard let told = ContextState(event), let number = HistoryModel.mark(told), let patch = patches[number]
    else { return "a change of a context that nobody asked for" }
    guard madePatches.insert(number).inserted else { return "change \(number) is made twice" }
    var expected = context.state
    if expected.revision == 0 { expected.createdAt = event.logTime }
    guard expected.apply(patch) == nil else { return "change \(number) goes beyond a limit" }
    for unit in patch.pinUnits where units[unit]?.context != expected.id {
      return "pins \(unit), which isn't a unit of the context"
    }
    var joined: [[UInt8]] = []
    event.forEachAgent { joined.append([UInt8]($0)) }
    let new = expected.agents.filter { agent in
      agent.withUnsafeBytes { context.state.agentIndex($0) } == nil
    }
    guard joined == new else { return "says that \(joined.count) agents joined, and \(new.count) did" }
    expected.revision += 1
    expected.updatedAt = event.logTime
    guard told == expected else { return "change \(number) leaves \(told), not \(expected)" }
    replace(Context(state: told, units: context.units))
    return nil
  }
}
