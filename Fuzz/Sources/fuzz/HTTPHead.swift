internal import Access
@testable internal import HTTP

/// `HeadParser`: the outcome depends on the bytes and not on the cuts; what is accepted a plain reader of RFC 9112
/// reads alike; written anew in its plainest form it means the same. Names and origins that pass for the server's own are.
enum HTTPHead {
  static func run(_ input: [UInt8]) {
    let whole = Outcome(input, cuts: [])
    var chance = Chance(input)
    let cuts = chance.cuts(of: input.count, 3)
    demand(Outcome(input, cuts: cuts) == whole, "cut at \(cuts): not \(whole)")
    if input.count <= 256 { demand(Outcome(input, cuts: Array(0...input.count)) == whole, "byte by byte") }
    guard case .head(let consumed, let said) = whole else { return }
    demand(consumed > 0 && consumed <= input.count, "consumed \(consumed)")
    guard let naive = NaiveHead(Array(input[..<consumed])) else {
      return demand(false, "a head that isn't one was accepted")
    }
    demand(said.method == naive.method && said.target == naive.target, "request line: \(said), not \(naive)")
    demand(said.minorVersion == naive.minorVersion, "version")
    demand(said.names == naive.names && said.values == naive.values, "fields: \(said), not \(naive)")
    demand(said.body == naive.body, "framing: \(said.body), not \(naive.body)")
    demand(said.keepAlive == naive.keepAlive, "keep-alive: \(said.keepAlive)")
    again(said)
    browser(said)
    behind(Array(input[consumed...]), input)
  }

  static func prove() {
    guard case .head(_, let said) = Outcome(Array("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".utf8), cuts: [4])
    else {
      return demand(false, "a good head is refused")
    }
    demand(said.path == Array("/a".utf8) && said.values == [Array("a".utf8)], "\(said)")
  }

  /// The plainest head that says the same says the same.
  private static func again(_ said: Said) {
    var bytes = said.method + [0x20] + said.target + Array(" HTTP/1.\(said.minorVersion)\r\n".utf8)
    for (name, value) in zip(said.names, said.values) { bytes += name + Array(": ".utf8) + value + [13, 10] }
    bytes += [13, 10]
    guard case .head(let consumed, let found) = Outcome(bytes, cuts: []) else {
      // The plain form may be longer than what came: only then it may be too large.
      return demand(bytes.count > 16 << 10, "a plain head is refused: \(shown(bytes))")
    }
    demand(consumed == bytes.count && found == said, "\(found), not \(said)")
  }

  /// A parser that has read a head reads the next one as a new parser does.
  private static func behind(_ rest: [UInt8], _ input: [UInt8]) {
    var parser = HeadParser()
    var head = RequestHead()
    _ = parser.parse(UnsafeRawBufferPointer(Fenced.copy(input)), into: &head)
    demand(!parser.isUnderWay, "a head has ended, and is under way")
    let next = Outcome(rest, cuts: [], &parser, &head)
    demand(next == Outcome(rest, cuts: []), "the second head: \(next)")
  }

  // MARK: Browsers

  private static let rules = BrowserRules(BrowserSettings(), isLoopback: true, isTLS: false)

  /// Names that lead to this machine, and pages that came from here: nothing else passes for them.
  private static func browser(_ said: Said) {
    func first(_ name: String) -> [UInt8]? {
      zip(said.names, said.values).first { NaiveHead.lower($0.0) == Array(name.utf8) }?.1
    }
    guard let host = first("host") else { return }
    let copy = UnsafeRawBufferPointer(Fenced.copy(host))
    if rules.answers(to: copy) { demand(isLocal(host), "\(shown(host)) passes for this machine") }
    guard let origin = first("origin") else { return }
    let standing = rules.standing(origin: UnsafeRawBufferPointer(Fenced.copy(origin)), host: copy)
    let own = Array("http://".utf8) + withoutPort(NaiveHead.lower(host), only: "80")
    let isOwn = withoutPort(NaiveHead.lower(origin), only: "80") == own
    demand(standing == (isOwn ? .own : []), "\(shown(origin)) at \(shown(host)) is \(standing.rawValue)")
  }

  private static func isLocal(_ host: [UInt8]) -> Bool {
    let name = String(decoding: withoutPort(NaiveHead.lower(host), only: nil), as: UTF8.self)
    if name == "localhost" || name == "[::1]" { return true }
    if name.hasSuffix(".localhost") { return name.utf8.count > 10 }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127"
      && parts.allSatisfy { part in UInt8(part).map { "\($0)" == part } ?? false }
  }

  /// Without a port, or without this one.
  private static func withoutPort(_ text: [UInt8], only port: String?) -> [UInt8] {
    guard let colon = text.lastIndex(of: UInt8(ascii: ":")) else { return text }
    let digits = text[(colon + 1)...]
    guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return text }
    return port.map { digits.elementsEqual($0.utf8) } ?? true ? Array(text[..<colon]) : text
  }

  /// What a head says, in bytes of its own.
  struct Said: Equatable {
    var method: [UInt8]
    var target: [UInt8]
    var minorVersion: UInt8
    var keepAlive: Bool
    var expectsContinue: Bool
    var asksUpgrade: Bool
    var body: BodyFraming
    var names: [[UInt8]] = []
    var values: [[UInt8]] = []
    var path: [UInt8]
    var query: [UInt8]
    var authority: [UInt8]

    init(_ head: borrowing RequestHead, _ bytes: UnsafeRawBufferPointer) {
      method = [UInt8](head.methodText.bytes(in: bytes))
      target = [UInt8](head.target.bytes(in: bytes))
      minorVersion = head.minorVersion
      keepAlive = head.keepAlive
      expectsContinue = head.expectsContinue
      asksUpgrade = head.asksUpgrade
      body = head.body
      path = [UInt8](head.path.bytes(in: bytes))
      query = [UInt8](head.query.bytes(in: bytes))
      authority = [UInt8](head.authority.bytes(in: bytes))
      for index in 0..<head.fieldCount {
        names.append([UInt8](head.name(at: index).bytes(in: bytes)))
        values.append([UInt8](head.value(at: index).bytes(in: bytes)))
      }
      var items = QueryItems(head.query, in: bytes)
      while let item = items.next() { demand(item.name.end <= item.value.start, "a query's item") }
    }
  }

  enum Outcome: Equatable {
    case needMore
    case head(consumed: Int, Said)
    case failure(HTTPError)

    /// Feeds prefixes that end at `cuts`, then all bytes, each in memory of its own.
    init(_ bytes: [UInt8], cuts: [Int]) {
      var parser = HeadParser()
      var head = RequestHead()
      self.init(bytes, cuts: cuts, &parser, &head)
    }

    init(_ bytes: [UInt8], cuts: [Int], _ parser: inout HeadParser, _ head: inout RequestHead) {
      self = .needMore
      for end in cuts + [bytes.count] {
        let copy = UnsafeRawBufferPointer(Fenced.copy(bytes[..<end]))
        switch parser.parse(copy, into: &head) {
        case .needMore: continue
        case .head(let consumed): self = .head(consumed: consumed, Said(head, copy))
        case .failure(let error):
          demand(parser.parse(copy, into: &head) == .failure(error), "an error is forgotten")
          self = .failure(error)
        }
        return
      }
    }
  }
}

/// A head that was accepted, read by lines and by arrays: nil where RFC 9112 has it refused.
struct NaiveHead {
  var method: [UInt8] = []
  var target: [UInt8] = []
  var minorVersion: UInt8 = 1
  var names: [[UInt8]] = []
  var values: [[UInt8]] = []
  var body = BodyFraming.none
  var keepAlive = true

  init?(_ bytes: [UInt8]) {
    var lines: [[UInt8]] = [[]]
    for (index, byte) in bytes.enumerated() {
      if byte == 13 {
        guard index + 1 < bytes.count, bytes[index + 1] == 10 else { return nil }
      } else if byte == 10 {
        guard index > 0, bytes[index - 1] == 13 else { return nil }
        lines.append([])
      } else {
        guard byte >= 0x20 || byte == 9, byte != 0x7f else { return nil }
        lines[lines.count - 1].append(byte)
      }
    }
    if lines.first == [] { lines.removeFirst() }
    guard lines.count >= 3, lines.suffix(2) == [[], []], !lines.dropLast(2).contains([]) else { return nil }
    let parts = lines[0].split(separator: 0x20, omittingEmptySubsequences: false).map(Array.init)
    guard parts.count == 3, parts[0].allSatisfy(NaiveHead.isToken), !parts[0].isEmpty, !parts[1].isEmpty,
      parts[1].allSatisfy({ $0 > 0x20 && $0 < 0x7f }), parts[2].count == 8,
      parts[2].starts(with: Array("HTTP/1.".utf8)), (0x30...0x39).contains(parts[2][7])
    else { return nil }
    method = parts[0]
    target = parts[1]
    minorVersion = min(parts[2][7] - 0x30, 1)
    for line in lines[1..<lines.count - 2] {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0,
        line[..<colon].allSatisfy(NaiveHead.isToken)
      else { return nil }
      names.append(Array(line[..<colon]))
      values.append(NaiveHead.trimmed(line[(colon + 1)...]))
    }
    guard readMeaning() else { return nil }
  }

  private mutating func readMeaning() -> Bool {
    let hosts = all("host")
    guard hosts.count == 1 || (hosts.isEmpty && minorVersion == 0) else { return false }
    let lengths = all("content-length")
    let codings = all("transfer-encoding")
    guard lengths.count + codings.count <= 1 else { return false }
    if let length = lengths.first {
      guard !length.isEmpty, length.allSatisfy({ (0x30...0x39).contains($0) }),
        let value = UInt64(String(decoding: length, as: UTF8.self))
      else { return false }
      body = .length(value)
    }
    if let coding = codings.first {
      guard minorVersion == 1, NaiveHead.lower(coding) == Array("chunked".utf8) else { return false }
      body = .chunked
    }
    let members = all("connection").flatMap { $0.split(separator: UInt8(ascii: ",")) }
      .map { String(decoding: NaiveHead.lower(NaiveHead.trimmed($0)), as: UTF8.self) }
    keepAlive =
      !members.contains("close") && (members.contains("keep-alive") || minorVersion == 1)
      && method != Array("CONNECT".utf8)
    return true
  }

  private func all(_ name: String) -> [[UInt8]] {
    zip(names, values).filter { NaiveHead.lower($0.0) == Array(name.utf8) }.map(\.1)
  }

  static func lower(_ bytes: [UInt8]) -> [UInt8] {
    bytes.map { (0x41...0x5a).contains($0) ? $0 + 32 : $0 }
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var rest = bytes
    while let first = rest.first, first == 0x20 || first == 9 { rest = rest.dropFirst() }
    while let last = rest.last, last == 0x20 || last == 9 { rest = rest.dropLast() }
    return Array(rest)
  }

  /// RFC 9110, section 5.6.2.
  static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }
}
