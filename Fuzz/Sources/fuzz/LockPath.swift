@testable internal import API
@testable internal import HTTP
internal import Model

/// Paths of requests: a route is found however its path is spelled; a lock's path has one canonical form, which a plain
/// reader finds too, whatever the spelling; decoding undoes encoding.
enum LockPath {
  static func run(_ input: [UInt8]) {
    canonical(input)
    decoding(input)
    // Heads hold no others in a path.
    let path = [UInt8(ascii: "/")] + input.filter { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "?") }
    routing(path)
    locks(Array(path[1...]))
  }

  static func prove() {
    demand(Found(Array("/v1/%6cocks/a%2Fb".utf8))?.subject == Array("a/b".utf8), "a lock's path")
    demand(Found(Array("/workunit/x/payload".utf8))?.name == .payload, "a payload's path")
  }

  private static func canonical(_ path: [UInt8]) {
    let found = ofBytes(path)
    let naive = NaivePath.canonical(path)
    demand(found == naive, "\(shown(path)): \(found.map(shown) ?? "nil"), not \(naive.map(shown) ?? "nil")")
    guard let found else { return }
    demand(ofBytes(found) == found, "canonical twice differs")
    demand(ofBytes([UInt8(ascii: "/")] + found) == found, "a leading slash makes another lock")
  }

  private static func ofBytes(_ path: [UInt8]) -> [UInt8]? {
    let copy = UnsafeRawBufferPointer(Fenced.copy(path))
    do throws(ResourcePath.Fault) { return [UInt8](try ResourcePath.canonical(copy)) } catch { return nil }
  }

  private static func decoding(_ text: [UInt8]) {
    let plain = NaivePath.decoded(text)
    let found = decoded(text)
    demand(
      found == plain.flatMap { $0.isText ? $0 : nil },
      "\(shown(text)) decodes to \(found.map(shown) ?? "nil")")
    guard text.isText else { return }
    demand(decoded(encoded(text)) == text, "what is encoded is decoded to something else")
    let bytes = UnsafeRawBufferPointer(Fenced.copy(text))
    for name in ["locks", "v1", "healthz"] as [StaticString] {
      let isSame = plain.map { $0 == Array("\(name)".utf8) } ?? false
      demand(PercentEncoding.equal(bytes, name) == isSame, "\(shown(text)) is \(name): \(!isSame)")
    }
  }

  private static func decoded(_ text: [UInt8]) -> [UInt8]? {
    let bytes = UnsafeRawBufferPointer(Fenced.copy(text))
    do throws(Problem) { return try Query.decode(bytes) } catch {
      JSON.check(error)
      return nil
    }
  }

  private static func encoded(_ bytes: [UInt8]) -> [UInt8] {
    bytes.flatMap { byte -> [UInt8] in
      let digits = String(byte, radix: 16)
      return Array("%\(digits.count < 2 ? "0" : "")\(digits)".utf8)
    }
  }

  /// The route of a path, and what it is about, decoded.
  struct Found: Equatable {
    var name: Route.Name
    var subject: [UInt8]?

    init?(_ path: [UInt8]) {
      let bytes = UnsafeRawBufferPointer(Fenced.copy(path))
      let run = ByteRun(offset: 0, length: UInt32(path.count))
      guard let match = Route.match(run, in: bytes) else { return nil }
      demand(match.subject.end <= path.count, "a subject beyond its path")
      name = match.name
      subject = decoded([UInt8](match.subject.bytes(in: bytes)))
    }
  }

  private static func routing(_ path: [UInt8]) {
    let found = Found(path)
    let segments = path[1...].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard let first = segments.first else { return }
    if NaivePath.decoded(Array(first)) != Array("v1".utf8) {
      demand(Found(Array("/v1".utf8) + path) == found, "/v1 leads elsewhere: \(shown(path))")
    }
    // Spelled otherwise it is the same, as long as each segment decodes.
    var other: [UInt8] = []
    for segment in segments {
      guard let plain = NaivePath.decoded(Array(segment)) else { return }
      other += [UInt8(ascii: "/")] + encoded(plain)
    }
    demand(Found(other) == found, "\(shown(other)) isn't \(shown(path))")
  }

  /// What stands behind `/locks/` names one lock, or none, however it is spelled.
  private static func locks(_ rest: [UInt8]) {
    guard let found = Found(Array("/locks/".utf8) + rest) else {
      return demand(false, "no route of a lock: \(shown(rest))")
    }
    demand(found.name == .lock, "\(shown(rest)) leads to \(found.name)")
    let lock = found.subject.flatMap(ofBytes)
    let naive = NaivePath.decoded(rest).flatMap { $0.isText ? NaivePath.canonical($0) : nil }
    demand(lock == naive, "\(shown(rest)): \(lock.map(shown) ?? "nil"), not \(naive.map(shown) ?? "nil")")
    guard let lock else { return }
    demand(Found(Array("/locks/".utf8) + encoded(lock))?.subject == lock, "encoded as a whole, it is another")
  }
}

/// The contract's rules for lock paths, by arrays and `String`.
enum NaivePath {
  static func canonical(_ path: [UInt8]) -> [UInt8]? {
    let rest = path.first == UInt8(ascii: "/") ? Array(path.dropFirst()) : path
    guard let text = String(validating: rest, as: UTF8.self), (1...1024).contains(rest.count),
      !text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) })
    else { return nil }
    let segments = rest.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let refused: [[UInt8]] = [[], [0x2e], [0x2e, 0x2e]]
    return segments.contains { refused.contains(Array($0)) } ? nil : rest
  }

  /// Nil where a percent sign isn't followed by two digits.
  static func decoded(_ text: [UInt8]) -> [UInt8]? {
    var plain: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        plain.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit && $0 < 0x80 }),
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
      else { return nil }
      plain.append(value)
      rest = rest.dropFirst(2)
    }
    return plain
  }
}
