internal import Bytes

/// The body of `PATCH /contexts/{id}`.
public struct ContextPatch: Hashable, Sendable {
  /// A key's new value; nil deletes it.
  public struct Change: Hashable, Sendable {
    public var key: [UInt8]
    public var value: [UInt8]?
  }

  public var displayName: [UInt8]?
  public var addAgents: [[UInt8]] = []
  public var removeAgents: [[UInt8]] = []
  public var pinUnits: [UnitID] = []
  public var unpinUnits: [UnitID] = []
  public var metadata: [Change] = []
  public var agent: [UInt8]?

  public init(_ body: UnsafeRawBufferPointer) throws(Problem) { throw Problem(.invalidRequest, "") }
}

extension ContextState {
  /// Changes the context as the patch says, revision and time not: after a problem it is of no further use.
  public mutating func apply(_ patch: ContextPatch) -> Problem? { nil }
}
