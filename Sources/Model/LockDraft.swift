internal import Bytes

/// The body of `POST /locks`.
public struct LockDraft: Hashable, Sendable {
  /// Canonical and distinct, in the order given; from 1 to `Limits.lockPathsMax`.
  public private(set) var paths: [[UInt8]] = []
  /// Whether the body has `resource_paths`: then the answer has `locks`.
  public private(set) var isList = false
  public private(set) var ttlMicroseconds = Limits.lockTTLMicrosecondsDefault
  /// 0: it doesn't wait.
  public private(set) var waitNanoseconds: UInt64 = 0
  /// The body's `agent_id`: `Asker` decides.
  public private(set) var agent: [UInt8]?
  /// A JSON object, on one line.
  public private(set) var metadata = Array("{}".utf8)

  /// Reads a body; throws what is wrong with it (400, or 413 if it is too large).
  public init(_ body: UnsafeRawBufferPointer) throws(Problem) {
    var reader = BodyReader(body)
    var single: [UInt8]?
    var several: [[UInt8]]?
    let names: [StaticString] = [
      "resource_path", "resource_paths", "ttl_seconds", "wait_seconds", "agent_id", "metadata",
    ]
    try reader.readBody(names) { reader, index, pointer throws(JSONError) in
      switch index {
      case 0: single = try reader.resourcePath(pointer)
      case 1: several = try Self.paths(&reader, pointer)
      case 2: ttlMicroseconds = try reader.ttl(pointer)
      case 3: waitNanoseconds = try reader.seconds(pointer, 0...Limits.lockWaitSecondsMax * 1_000_000) * 1000
      case 4: agent = try reader.identifier(pointer)
      default: metadata = try Self.metadata(&reader, pointer)
      }
    }
    switch (single, several) {
    case (let path?, nil): paths = [path]
    case (nil, let all?):
      paths = all
      isList = true
    case (nil, nil): throw Problem(at: "/resource_path", "is required, or resource_paths")
    default: throw Problem(at: "/resource_paths", "can't stand beside resource_path: only one may be given")
    }
  }

  private static func paths(
    _ reader: inout BodyReader, _ pointer: String
  ) throws(JSONError) -> [[UInt8]] {
    var paths: [[UInt8]] = []
    try reader.array(pointer, countMax: Limits.lockPathsMax, of: "paths") {
      reader, element throws(JSONError) in
      let path = try reader.resourcePath(element)
      if let same = paths.firstIndex(of: path) {
        throw reader.refuse(element, "is the same path as \(pointer)/\(same)")
      }
      paths.append(path)
    }
    guard !paths.isEmpty else { throw reader.refuse(pointer, "must not be empty") }
    return paths
  }

  /// The pairs, written anew without white space.
  private static func metadata(
    _ reader: inout BodyReader, _ pointer: String
  ) throws(JSONError) -> [UInt8] {
    var pairs: [(JSONString, JSONString)] = []
    try reader.metadata(pointer, pairsMax: Limits.metadataPairsMax, allowsNull: false) { key, value in
      if let value { pairs.append((key, value)) }
    }
    let body = reader.scanner.bytes
    func count(_ token: JSONString) -> Int {
      JSONText.withDecoded(token, of: body) { JSONText.quotedCount($0) }
    }
    let bytes = pairs.reduce(2 + max(pairs.count - 1, 0)) { $0 + count($1.0) + 1 + count($1.1) }
    guard bytes <= Limits.lockMetadataBytesMax else {
      throw reader.refuse(pointer, "must be at most \(Limits.lockMetadataBytesMax) bytes of JSON")
    }
    return [UInt8](unsafeUninitializedCapacity: bytes) { memory, written in
      guard let base = UnsafeMutableRawPointer(memory.baseAddress) else { return }
      var out = ByteWriter(base, capacity: bytes)
      out.byte(UInt8(ascii: "{"))
      for (n, pair) in pairs.enumerated() {
        if n > 0 { out.byte(UInt8(ascii: ",")) }
        JSONText.withDecoded(pair.0, of: body) { JSONText.writeQuoted($0, to: &out) }
        out.byte(UInt8(ascii: ":"))
        JSONText.withDecoded(pair.1, of: body) { JSONText.writeQuoted($0, to: &out) }
      }
      out.byte(UInt8(ascii: "}"))
      written = out.count
    }
  }
}

/// The body of `PUT /locks/{path}`.
public struct LockRenewal: Hashable, Sendable {
  public private(set) var lockID = UnitID(high: 0, low: 0)
  /// Nil: as long as the lock was given before.
  public private(set) var ttlMicroseconds: UInt64?
  /// The body's `agent_id`: `Asker` decides.
  public private(set) var agent: [UInt8]?

  /// Reads a body; throws what is wrong with it (400, or 413 if it is too large).
  public init(_ body: UnsafeRawBufferPointer) throws(Problem) {
    var reader = BodyReader(body)
    var id: UnitID?
    try reader.readBody(["lock_id", "ttl_seconds", "agent_id"]) { reader, index, pointer throws(JSONError) in
      switch index {
      case 0: id = try reader.unitID(pointer)
      case 1: ttlMicroseconds = try reader.ttl(pointer)
      default: agent = try reader.identifier(pointer)
      }
    }
    guard let id else { throw Problem(at: "/lock_id", "is required") }
    lockID = id
  }
}

extension BodyReader {
  fileprivate mutating func ttl(_ pointer: String) throws(JSONError) -> UInt64 {
    try seconds(pointer, Limits.lockTTLMicrosecondsMin...Limits.lockTTLMicrosecondsMax)
  }
}

/// Who asks, where the agent may stand in the body.
public enum Asker {
  /// - Parameters:
  ///   - body: the body's `agent_id`.
  ///   - caller: the agent of the credential (`isAuthenticated`) or of `X-Agent-ID`, already checked to be an id.
  /// - Returns: nil if nobody is named.
  /// - Throws: if the two differ (403 with a credential, else 400).
  public static func find(
    body: [UInt8]?, caller: UnsafeRawBufferPointer?, isAuthenticated: Bool
  ) throws(Problem) -> [UInt8]? {
    guard let caller, !caller.isEmpty else { return body }
    if let body, !body.withUnsafeBytes({ JSONText.same($0, caller) }) {
      throw isAuthenticated
        ? Problem(.permissionDenied, at: "/agent_id", "is not the agent of the credential")
        : Problem(at: "/agent_id", "differs from X-Agent-ID")
    }
    return Array(caller)
  }

  /// What was found, where somebody must be named; else 400.
  public static func required(_ agent: [UInt8]?) throws(Problem) -> [UInt8] {
    guard let agent else { throw Problem(at: "/agent_id", "is required unless X-Agent-ID names the agent") }
    return agent
  }
}
