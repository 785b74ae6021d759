internal import Bytes

/// The body of `POST /locks`.
public struct LockDraft: Hashable, Sendable {
  /// Canonical and distinct, in the order given.
  public var paths: [[UInt8]]
  /// Whether the body has `resource_paths`: then the answer has `locks`.
  public var isList: Bool
  public var ttlMicroseconds: UInt64
  public var waitNanoseconds: UInt64
  public var agent: [UInt8]?
  /// A JSON object, on one line.
  public var metadata: [UInt8]

  public init(_ body: UnsafeRawBufferPointer) throws(Problem) { throw Problem(.invalidRequest, "") }
}

/// The body of `PUT /locks/{path}`.
public struct LockRenewal: Hashable, Sendable {
  public var lockID: UnitID
  public var ttlMicroseconds: UInt64
  public var agent: [UInt8]?

  public init(_ body: UnsafeRawBufferPointer) throws(Problem) { throw Problem(.invalidRequest, "") }
}

/// Who asks.
public enum Asker {
  /// `body`: the body's `agent_id`. `caller`: the agent of the credential (`isAuthenticated`) or of `X-Agent-ID`.
  public static func resolve(
    body: [UInt8]?, caller: UnsafeRawBufferPointer?, isAuthenticated: Bool
  ) throws(Problem) -> [UInt8] { throw Problem(.invalidRequest, "") }
}
