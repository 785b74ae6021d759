internal import Bytes
internal import Glibc
internal import Model
internal import Search

/// The writer of the index, with the agreed shape of its calls.
private final class LiveIndex: UnitIndex {
  private let index: SearchIndex

  init(_ index: SearchIndex) { self.index = index }

  var watermark: Position { index.watermark }
  func add(_ unit: EventView) throws(SearchError) { try index.add(unit) }
  func commit(through: Position) throws(SearchError) { try index.commit(through: through) }
  func rollback() { index.rollback() }
  func tidy() throws(SearchError) -> Bool { try index.tidy() }
  // What can't be written then is written at the next opening.
  func close() { try? index.close() }
}

/// The index of a data directory: what lies in `search/` there.
struct SearchFiles: UnitIndexFiles {
  let directory: String
  /// UUID of the log that the index must belong to, 16 bytes.
  let log: [UInt8]

  func open() throws(SearchError) -> any UnitIndex {
    LiveIndex(try SearchIndex(directory: directory, log: log))
  }

  func discard() throws(SearchError) { try SearchIndex.discard(directory: directory) }

  func look() -> IndexFileMark {
    IndexFileMark(database: file("search/index.db"), log: file("search/index.db-wal"))
  }

  private func file(_ name: String) -> IndexFileMark.File? {
    var found = stat()
    guard stat("\(directory)/\(name)", &found) == 0 else { return nil }
    return IndexFileMark.File(
      device: UInt64(found.st_dev), inode: UInt64(found.st_ino), bytes: Int64(found.st_size))
  }

  func finder() throws(SearchError) -> any UnitFinder { try IndexFinder(directory) }
}

/// A search thread's connection to the index, and its tokenizer.
private final class IndexFinder: UnitFinder {
  private let reader: SearchReader
  private let tokenizer: Tokenizer
  /// The texts of a unit, back to back.
  private var texts: [UInt8] = []

  init(_ directory: String) throws(SearchError) {
    tokenizer = try Tokenizer()
    reader = try SearchReader(directory: directory)
  }

  func find(
    _ query: SearchQuery, text: SearchText, deadline: UInt64, screen: HitScreen?, isCancelled: () -> Bool
  ) throws(SearchError) -> SearchPage {
    try reader.find(query, text: text, deadline: deadline, screen: screen, isCancelled: isCancelled)
  }

  func excerpt(of unit: EventView, by highlighter: Highlighter) throws(SearchError) -> [UInt8]? {
    texts.removeAll(keepingCapacity: true)
    addPayload(unit)
    var ends = [texts.count]
    UnitMetadata.forEach(unit) { _, value in
      texts.append(contentsOf: value)
      ends.append(texts.count)
      return true
    }
    let excerpt = texts.withUnsafeBytes { bytes -> Result<[UInt8]?, SearchError> in
      var start = 0
      let parts = ends.map { end in
        defer { start = end }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
      }
      do throws(SearchError) {
        return .success(try highlighter.excerpt(of: parts, tokenizer: tokenizer))
      } catch {
        return .failure(error)
      }
    }
    return try excerpt.get()
  }

  /// As much of a payload that is text as the highlighter looks at.
  private func addPayload(_ unit: EventView) {
    guard let (token, encoding) = PayloadDecoder.token(unit), encoding == .utf8, token.count >= 2 else {
      return
    }
    // Without the quotes.
    let raw = UnsafeRawBufferPointer(rebasing: token[1..<token.count - 1])
    let room = min(raw.count, Limits.highlightBytesMax) + 4
    let start = texts.count
    texts.append(contentsOf: repeatElement(0, count: room))
    let written = texts.withUnsafeMutableBytes { memory in
      JSONText.decodeSome(raw, into: UnsafeMutableRawBufferPointer(rebasing: memory[start...])).written
    }
    texts.removeLast(room - written)
  }
}
