internal import Bytes
internal import COpenSSL
public import Model

/// A `next_cursor` for who may not see everything: the name that the next page begins behind may be one that is hidden,
/// so it is encrypted, and filled up so that no length shows. It is good for the query that it came from, in the process
/// that made it: a client that brings one from before a restart begins anew.
///
/// URL-safe base64: u8 version 3, 12 bytes nonce, AES-256-GCM of {u64 the query's hash, u16 the name's length, the name,
/// zeros}, 16 bytes tag. Numbers are little-endian.
public struct NameSeal: Sendable {
  public static let version: UInt8 = 3
  /// Of this process.
  public static let ofProcess = NameSeal()

  private static let headBytes = 10
  private static let frameBytes = 1 + Int(ENGRAM_SEAL_NONCE_BYTES) + Int(ENGRAM_SEAL_TAG_BYTES)
  private let key: [UInt8]

  /// With a key of its own.
  public init() { key = NameSeal.random(Int(ENGRAM_SEAL_KEY_BYTES)) }

  private static func random(_ count: Int) -> [UInt8] {
    // The system's generator: getrandom(2).
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
  }

  /// Characters of a cursor over names of at most `nameBytesMax` bytes: all have as many.
  public static func textBytes(nameBytesMax: Int) -> Int {
    (4 * (frameBytes + headBytes + nameBytesMax) + 2) / 3
  }

  /// - Parameter nameBytesMax: of all names that the list may have; a longer name is cut.
  /// - Returns: nil if the library fails.
  public func seal(_ name: [UInt8], of queryHash: UInt64, nameBytesMax: Int) -> [UInt8]? {
    precondition(nameBytesMax <= Int(UInt16.max), "a name's length is a u16")
    let name = name.prefix(nameBytesMax)
    var plain = ByteWriter.bytes(capacity: NameSeal.headBytes) { out in
      out.integer(queryHash)
      out.integer(UInt16(name.count))
    }
    plain += name
    plain += [UInt8](repeating: 0, count: nameBytesMax - name.count)
    let nonce = NameSeal.random(Int(ENGRAM_SEAL_NONCE_BYTES))
    var secret = [UInt8](repeating: 0, count: plain.count)
    var tag = [UInt8](repeating: 0, count: Int(ENGRAM_SEAL_TAG_BYTES))
    guard engram_seal(key, nonce, plain, plain.count, &secret, &tag) == 1 else { return nil }
    return ([NameSeal.version] + nonce + secret + tag).withUnsafeBytes { Base64.encodeURL($0) }
  }

  /// Whether a text is one of these cursors, as far as can be seen without the key.
  public static func isSealed(_ text: [UInt8]) -> Bool {
    Array(text.prefix(4)).withUnsafeBytes { Base64.decodeURL($0) }?.first == version
  }

  /// Reads the name of a cursor that a client sent with a query of this hash.
  public func open(
    _ text: [UInt8], of queryHash: UInt64, nameBytesMax: Int
  ) throws(PageCursor.Fault) -> [UInt8] {
    guard text.count == NameSeal.textBytes(nameBytesMax: nameBytesMax),
      let bytes = text.withUnsafeBytes({ Base64.decodeURL($0) }), bytes.first == NameSeal.version,
      bytes.count == NameSeal.frameBytes + NameSeal.headBytes + nameBytesMax
    else { throw .malformed }
    let nonce = Array(bytes[1..<1 + Int(ENGRAM_SEAL_NONCE_BYTES)])
    let tag = Array(bytes.suffix(Int(ENGRAM_SEAL_TAG_BYTES)))
    let secret = Array(bytes[nonce.count + 1..<bytes.count - tag.count])
    var plain = [UInt8](repeating: 0, count: secret.count)
    guard engram_unseal(key, nonce, secret, secret.count, tag, &plain) == 1 else { throw .malformed }
    let head = plain.withUnsafeBytes { bytes -> (UInt64, UInt16)? in
      var reader = ByteReader(bytes)
      guard let hash = reader.integer(UInt64.self), let count = reader.integer(UInt16.self) else {
        return nil
      }
      return (hash, count)
    }
    guard let (hash, count) = head, Int(count) <= nameBytesMax else { throw .malformed }
    guard hash == queryHash else { throw .otherQuery }
    return Array(plain[NameSeal.headBytes..<NameSeal.headBytes + Int(count)])
  }
}
