internal import Bytes

/// The `next_cursor` of a page of units: opaque to clients, and good only for the query that it came from.
/// 17 bytes as URL-safe base64: version 1, the query's hash, the sequence that the next page begins behind.
public struct PageCursor: Hashable, Sendable {
  public enum Fault: Error, Hashable, Sendable {
    /// Not one of ours.
    case malformed
    /// Of another query.
    case otherQuery
  }

  public static let version: UInt8 = 1
  /// Characters of a cursor.
  public static let textBytes = 23

  public var queryHash: UInt64
  public var sequence: Sequence

  public init(queryHash: UInt64, sequence: Sequence) {
    self.queryHash = queryHash
    self.sequence = sequence
  }

  public func text() -> [UInt8] {
    withUnsafeTemporaryAllocation(byteCount: 17, alignment: 8) { memory in
      guard let base = memory.baseAddress else { return [] }
      var out = ByteWriter(base, capacity: memory.count)
      out.byte(Self.version)
      out.integer(queryHash)
      out.integer(sequence.rawValue)
      return Base64.encodeURL(UnsafeRawBufferPointer(memory))
    }
  }

  /// Reads the cursor that a client sent with a query of this hash.
  public init(_ text: [UInt8], of queryHash: UInt64) throws(Fault) {
    let read: Result<PageCursor, Fault> = text.withUnsafeBytes { bytes in
      do throws(Fault) { return .success(try PageCursor(bytes, of: queryHash)) } catch {
        return .failure(error)
      }
    }
    self = try read.get()
  }

  /// Reads the cursor that a client sent with a query of this hash.
  public init(_ text: UnsafeRawBufferPointer, of queryHash: UInt64) throws(Fault) {
    guard text.count == Self.textBytes, let bytes = Base64.decodeURL(text) else { throw .malformed }
    let words: (UInt64, UInt64)? = bytes.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      guard reader.integer(UInt8.self) == Self.version, let hash = reader.integer(UInt64.self),
        let sequence = reader.integer(UInt64.self)
      else { return nil }
      return (hash, sequence)
    }
    guard let words else { throw .malformed }
    guard words.0 == queryHash else { throw .otherQuery }
    self.init(queryHash: queryHash, sequence: Sequence(words.1))
  }
}

/// The `next_cursor` of a page of names, in their order: opaque to clients, and good only for the query that it came
/// from. URL-safe base64: version 2, the query's hash, the name that the next page begins behind.
public struct NameCursor: Hashable, Sendable {
  public static let version: UInt8 = 2
  /// Characters of a cursor, at most: of the longest name, which is a lock's path.
  public static let textBytesMax =
    (9 + max(Limits.identifierBytesMax, Limits.resourcePathBytesMax)) * 4 / 3 + 1

  public var queryHash: UInt64
  public var name: [UInt8]

  public init(queryHash: UInt64, name: [UInt8]) {
    self.queryHash = queryHash
    self.name = name
  }

  public func text() -> [UInt8] {
    var bytes = [Self.version]
    withUnsafeBytes(of: queryHash.littleEndian) { bytes.append(contentsOf: $0) }
    return (bytes + name).withUnsafeBytes { Base64.encodeURL($0) }
  }

  /// Reads the cursor that a client sent with a query of this hash.
  public init(_ text: [UInt8], of queryHash: UInt64) throws(PageCursor.Fault) {
    guard text.count <= Self.textBytesMax, let bytes = text.withUnsafeBytes({ Base64.decodeURL($0) }),
      bytes.count > 9, bytes.first == Self.version
    else { throw .malformed }
    let hash = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 1, as: UInt64.self) }
    guard UInt64(littleEndian: hash) == queryHash else { throw .otherQuery }
    self.init(queryHash: queryHash, name: Array(bytes[9...]))
  }
}
