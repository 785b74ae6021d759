internal import Glibc
internal import Model
internal import Search

extension SearchIndex: UnitIndex {}

/// The index of a data directory: what lies in `search/` there.
struct SearchFiles: UnitIndexFiles {
  let directory: String
  /// UUID of the log that the index must belong to, 16 bytes.
  let log: [UInt8]

  func open() throws(SearchError) -> any UnitIndex {
    try SearchIndex(directory: directory, log: log)
  }

  func discard() throws(SearchError) { try SearchIndex.discard(directory: directory) }

  func look() -> IndexFileMark {
    IndexFileMark(database: file("search/index.db"), log: file("search/index.db-wal"))
  }

  private func file(_ name: String) -> IndexFileMark.File? {
    var found = stat()
    guard stat("\(directory)/\(name)", &found) == 0 else { return nil }
    return IndexFileMark.File(device: UInt64(found.st_dev), inode: UInt64(found.st_ino), bytes: Int64(found.st_size))
  }

  func finder() throws(SearchError) -> any UnitFinder { try IndexFinder(directory) }
}

/// A search thread's connection to the index, and its tokenizer.
private final class IndexFinder: UnitFinder {
  private let reader: SearchReader

  init(_ directory: String) throws(SearchError) {
    reader = try SearchReader(directory: directory)
  }

  func find(
    _ query: SearchQuery, deadline: UInt64, isCancelled: () -> Bool
  ) throws(SearchError) -> SearchPage {
    try reader.find(query, deadline: deadline, isCancelled: isCancelled)
  }

  func excerpt(of unit: EventView, for query: SearchQuery) -> [UInt8]? { nil }

  func close() { reader.close() }
}
