/// `[auth.token]` of the configuration.
public struct TokenSettings: Sendable, Hashable {
  /// The token file's path.
  public var file = ""

  public init() {}
}

/// Why a token file isn't taken.
public struct TokenFileError: Error, Sendable, CustomStringConvertible {
  /// Counted from 1; 0 is the file as a whole.
  public var line: Int
  public var fault: TokenLine.Fault

  public var description: String { line == 0 ? fault.rawValue : "line \(line) \(fault.rawValue)" }
}

/// The tokens of a file, by their digests. Immutable; any thread.
///
/// A presented token is hashed, and the digest is looked for under a code that is keyed by 32 bytes of this process
/// (HMAC-SHA-256): which place of the table is looked at tells nothing about how much of a digest is right. What is
/// found there is compared whole, in constant time, and something is compared where nothing is found.
public final class TokenTable: Sendable {
  private let indexKey: [UInt8]
  /// Open addressing by the code: 0 is free, else the entry's number and one. At most half full.
  private let index: [UInt32]
  private let digests: [SHA256]
  private let principals: [Principal]

  public var count: Int { principals.count }

  /// Reads a token file. Lines end with LF or CRLF; empty ones and those that begin with `#` say nothing.
  public init(parsing text: UnsafeRawBufferPointer) throws(TokenFileError) {
    guard text.count <= CredentialLimits.tokenFileBytesMax else {
      throw TokenFileError(line: 0, fault: .tooLong)
    }
    guard let indexKey = SecureRandom.bytes(SHA256.byteCount) else {
      throw TokenFileError(line: 0, fault: .library)
    }
    self.indexKey = indexKey
    var digests: [SHA256] = []
    var principals: [Principal] = []
    var known: Set<SHA256> = []
    var number = 0
    var start = 0
    while start < text.count {
      let end = text[start...].firstIndex(of: 0x0A) ?? text.count
      let line = Self.trim(UnsafeRawBufferPointer(rebasing: text[start..<end]))
      start = end + 1
      number += 1
      guard let first = line.first, first != UInt8(ascii: "#") else { continue }
      guard principals.count < CredentialLimits.tokensMax else {
        throw TokenFileError(line: number, fault: .tooMany)
      }
      do throws(TokenLine.Fault) {
        let entry = try TokenLine(parsing: line)
        guard known.insert(entry.digest).inserted else { throw .duplicate }
        digests.append(entry.digest)
        principals.append(
          Principal(
            agent: entry.agent, roles: entry.roles, provider: .token, expiresAt: entry.expiresAt,
            proof: .token(entry.digest)))
      } catch {
        throw TokenFileError(line: number, fault: error)
      }
    }
    var capacity = 16
    while capacity < 2 * digests.count { capacity *= 2 }
    var index = [UInt32](repeating: 0, count: capacity)
    for (number, digest) in digests.enumerated() {
      guard let code = Self.code(digest, indexKey) else { throw TokenFileError(line: 0, fault: .library) }
      var place = Int(truncatingIfNeeded: code) & (capacity - 1)
      while index[place] != 0 { place = (place + 1) & (capacity - 1) }
      index[place] = UInt32(number + 1)
    }
    self.index = index
    self.digests = digests
    self.principals = principals
  }

  private static func trim(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
    var (start, end) = (0, line.count)
    while start < end, isSpace(line[start]) { start += 1 }
    while start < end, isSpace(line[end - 1]) { end -= 1 }
    return UnsafeRawBufferPointer(rebasing: line[start..<end])
  }

  private static func code(_ digest: SHA256, _ key: [UInt8]) -> UInt64? {
    digest.withBytes { SHA256(hmacOf: $0, key: key)?.prefix }
  }

  /// The principal of a token. About 2 µs, whether or not there is such a token.
  public func verify(_ token: UnsafeRawBufferPointer, now: UInt64) throws(AuthenticationFailure) -> Principal
  {
    guard token.count <= CredentialLimits.tokenBytesMax else { throw .oversize }
    guard let digest = SHA256(of: token), let principal = find(digest) else { throw .unknownToken }
    guard !principal.isExpired(now: now) else { throw .expired }
    return principal
  }

  /// The principal of the token that has this digest.
  func find(_ digest: SHA256) -> Principal? {
    guard let code = Self.code(digest, indexKey) else { return nil }
    var place = Int(truncatingIfNeeded: code) & (index.count - 1)
    var found: Principal?
    if index[place] == 0 {
      // One comparison, as where something stands.
      _ = ConstantTime.equal(digest, digests.first ?? digest)
    }
    while index[place] != 0 {
      let number = Int(index[place]) - 1
      if ConstantTime.equal(digest, digests[number]) { found = principals[number] }
      place = (place + 1) & (index.count - 1)
    }
    return found
  }
}
