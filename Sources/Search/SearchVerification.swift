internal import Bytes
internal import CSQLite
internal import Glibc
public import Model

/// Compares the index of a stopped server with its units: it must hold what an index made anew of them would hold.
/// First `expect` every unit, in any order, then `run`. Reads only; one thread; blocks.
public final class SearchVerification {
  /// What a part comes to: sums over its tokens and its units, in any order.
  struct Sums: Equatable {
    var units: Int64 = 0
    var tokens: Int64 = 0
    /// Over (token, position of the unit, place in its body).
    var words = Fingerprint(high: 0, low: 0)
    /// Over (position of the unit, tokens of it).
    var lengths = Fingerprint(high: 0, low: 0)

    mutating func add(_ token: UnsafeRawBufferPointer, unit: UInt64, place: UInt64) {
      let token = Fingerprint.of(token)
      words = words &+ Fingerprint.of([token.high, token.low, unit, place])
    }

    mutating func add(length: UInt64, unit: UInt64) {
      lengths = lengths &+ Fingerprint.of([unit, length], seed: 1)
    }
  }

  /// 16 bytes: the log that it says it is of.
  public let log: [UInt8]
  /// All units up to here are there, it says.
  public let watermark: Position
  /// Units that it says it has.
  public var units: Int { parts.reduce(0) { $0 + Int($1.units) } }
  /// Told of each part and of the tokens read so far, every some hundred thousand.
  public var progress: ((_ part: UInt64, _ tokens: Int) -> Void)?

  private let database: Database
  private let parts: [SearchPart]
  private let span: UInt64
  private let tokenizer: Tokenizer
  private var body = UnitBody()
  private var expected: [UInt64: Sums] = [:]

  /// - Returns: nil if there is no index below `directory`.
  /// - Throws: `damaged` if it is none of this version.
  public init?(directory: String) throws(SearchError) {
    let path = SearchFormat.path(directory)
    guard access(path, F_OK) == 0 else { return nil }
    let onDisk = SearchFile.revision(path)
    database = try Database(path: path, access: .examine)
    try database.execute("PRAGMA temp_store = MEMORY", "set up")
    let head = try SearchFile.read(database, log: nil)
    try SearchFile.checkRevision(onDisk, head)
    log = head.log
    watermark = head.watermark
    span = head.span
    parts = try [SearchPart](database)
    try SearchFile.checkSchema(database, parts: parts)
    tokenizer = try Tokenizer()
  }

  /// A unit of the store, or of the log where the store lacks it. Each once; those above the watermark are passed over.
  public func expect(_ event: EventView) throws(SearchError) {
    let position = event.position
    guard event.kind == .unit, position <= watermark, let text = body.make(event) else { return }
    let number = position.rawValue / span
    var sums = expected[number] ?? Sums()
    // As FTS5 counts (fts5StorageInsertCallback): a colocated token takes no place, except the first.
    var length: UInt64 = 0
    try tokenizer.forEachToken(of: text, mode: .body) { flags, token, _ in
      if !flags.contains(.colocated) || length == 0 { length += 1 }
      sums.add(token, unit: position.rawValue, place: length - 1)
      return true
    }
    sums.units += 1
    sums.tokens += Int64(length)
    sums.add(length: length, unit: position.rawValue)
    expected[number] = sums
  }

  /// Reads the index whole.
  /// - Returns: what is wrong with it, in words; empty if nothing is.
  public func run() throws(SearchError) -> [String] {
    var findings: [String] = []
    let check = try database.prepare("PRAGMA quick_check(10)", "check the file")
    while try check.step() == .row {
      let line = String(decoding: check.bytes(0), as: UTF8.self)
      if line != "ok" { findings.append(line) }
    }
    for number in Set(expected.keys).union(parts.map(\.number)).sorted() {
      let expected = expected[number] ?? Sums()
      guard let part = parts.first(where: { $0.number == number }) else {
        findings.append("part \(number) is missing: \(expected.units) units")
        continue
      }
      let (found, isReadable) = try read(part, &findings)
      guard isReadable else { continue }
      if found.units != expected.units {
        findings.append("part \(number) has \(found.units) units instead of \(expected.units)")
      } else if found.words != expected.words {
        findings.append("part \(number): its words are not those of its units")
      } else if found.lengths != expected.lengths {
        findings.append("part \(number): lengths of units are wrong")
      }
      if part.units != expected.units || part.tokens != expected.tokens {
        findings.append("part \(number): its counts are wrong")
      }
    }
    return findings
  }

  /// What a part holds; damage met while reading is a finding.
  private func read(
    _ part: SearchPart, _ findings: inout [String]
  ) throws(SearchError) -> (sums: Sums, isReadable: Bool) {
    do throws(SearchError) {
      return (try read(part), true)
    } catch {
      guard error.kind == .damaged else { throw error }
      findings.append("part \(part.number): \(error.message)")
      return (Sums(), false)
    }
  }

  private func read(_ part: SearchPart) throws(SearchError) -> Sums {
    var sums = Sums()
    let name = SearchFormat.part(part.number)
    let lengths = try database.prepare("SELECT id, sz FROM \(name)_docsize", "read lengths")
    while try lengths.step() == .row {
      sums.units += 1
      sums.add(
        length: SearchVerification.varint(lengths.bytes(1)), unit: UInt64(clamping: lengths.integer(0)))
    }
    try database.execute(
      "CREATE VIRTUAL TABLE temp.words_\(part.number) USING fts5vocab('main', '\(name)', 'instance')",
      "read words")
    let words = try database.prepare("SELECT term, doc, offset FROM temp.words_\(part.number)", "read words")
    var count = 0
    while try words.step() == .row {
      sums.add(
        words.bytes(0), unit: UInt64(clamping: words.integer(1)), place: UInt64(clamping: words.integer(2)))
      count += 1
      if count % 500_000 == 0 { progress?(part.number, count) }
    }
    return sums
  }

  /// A number as SQLite writes it (section 1.6 of its file format); the blob holds one.
  static func varint(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var value: UInt64 = 0
    for (index, byte) in bytes.prefix(9).enumerated() {
      if index == 8 { return value << 8 | UInt64(byte) }
      value = value << 7 | UInt64(byte & 0x7F)
      if byte < 0x80 { return value }
    }
    return .max
  }
}
