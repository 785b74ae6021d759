import Bytes
import Glibc
import Model
import Testing

@testable import Search

let testLog = [UInt8](1...16)

/// A directory that goes with its last reference.
final class SearchDirectory: Sendable {
  let path: String

  init() throws {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/engram-search.XXXXXX".utf8CString)
    path = try #require(
      template.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
      })
  }

  deinit { SearchDirectory.remove(path) }

  var file: String { path + "/search/index.db" }

  static func names(in path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  private static func remove(_ path: String) {
    for name in names(in: path) {
      let inner = "\(path)/\(name)"
      if unlink(inner) != 0 { remove(inner) }
    }
    rmdir(path)
  }
}

/// A file's bytes, read and written whole.
enum TestFile {
  static func read(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY)
    guard file >= 0 else { return [] }
    defer { close(file) }
    let count = Int(lseek(file, 0, SEEK_END))
    return [UInt8](unsafeUninitializedCapacity: count) { $1 = max(0, pread(file, $0.baseAddress, count, 0)) }
  }

  static func write(_ bytes: [UInt8], to path: String) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0 else { return }
    defer { close(file) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(file, $0.baseAddress.map { $0 + written }, bytes.count - written)
      }
      guard count > 0 else { return }
      written += count
    }
  }
}

/// A unit as a client posts it.
struct TestUnit: Hashable {
  var position: UInt64 = 1
  var context = "context"
  var agent = "agent"
  var type = WorkUnitType.message
  var metadata: [[String]] = []
  var payload = ""
  /// Nil: the payload is text.
  var base64: String?

  /// The record that the log keeps.
  var record: [UInt8] {
    var json = "{\"context_id\":\(quoted(context)),\"agent_id\":\(quoted(agent)),\"type\":\"\(type.name)\""
    if let base64 {
      json += ",\"payload\":\"\(base64)\",\"payload_encoding\":\"base64\""
    } else {
      json += ",\"payload\":\(quoted(payload))"
    }
    let pairs = metadata.map { "\(quoted($0[0])):\(quoted($0[1]))" }.joined(separator: ",")
    json += ",\"metadata\":{\(pairs)}}"
    let body = Array(json.utf8)
    return body.withUnsafeBytes { body in
      let draft = UnitDraft()
      if let problem = draft.parse(body) { Issue.record("\(problem) in \(json)") }
      let room = UnitEncoder.bytesMax(for: draft)
      let facts = UnitFacts(
        id: UnitID(high: position, low: 1), sequence: Sequence(position), position: Position(position),
        logTime: LogTime(microseconds: position * 1000))
      return [UInt8](unsafeUninitializedCapacity: room) { memory, count in
        guard let base = memory.baseAddress else { return }
        count = UnitEncoder.encode(draft, facts, into: base, capacity: room)
      }
    }
  }

  private func quoted(_ text: String) -> String {
    let bytes = Array(text.utf8)
    return bytes.withUnsafeBytes { bytes in
      String(
        decoding: ByteWriter.bytes(capacity: JSONText.quotedCount(bytes)) {
          JSONText.writeQuoted(bytes, to: &$0)
        }, as: UTF8.self)
    }
  }
}

extension SearchIndex {
  func add(_ unit: TestUnit) throws { try add(record: unit.record) }

  func add(record: [UInt8]) throws {
    try record.withUnsafeBytes { bytes in
      let view = try #require(EventView(bytes))
      try add(view)
    }
  }

  func commit(through: UInt64) throws { try commit(through: Position(through)) }
}

extension SearchReader {
  /// What a person typed, without any time limit.
  func find(_ text: String = "", _ query: SearchQuery = SearchQuery()) throws -> SearchPage {
    let text = try SearchText(Array(text.utf8), tokenizer: try Tokenizer())
    return try find(query, text: text, deadline: .max, isCancelled: { false })
  }

  func positions(_ text: String = "", _ query: SearchQuery = SearchQuery()) throws -> [UInt64] {
    try find(text, query).hits.map { $0.position.rawValue }
  }
}

extension SearchOptions {
  /// Parts so small that a test has several.
  static var small: SearchOptions {
    var options = SearchOptions()
    options.partPositions = 64
    options.pageBytes = 1024
    options.cacheBytes = 1 << 20
    return options
  }
}
