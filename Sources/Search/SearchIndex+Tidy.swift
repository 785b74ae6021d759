internal import CSQLite

/// What `tidy` does next.
struct SearchTidying {
  /// A part that is complete is made one segment, which takes many slices: its number, once that has begun.
  var sealing: UInt64?
  /// Parts below are as small as they get.
  var sealedBelow: UInt64 = 0
}

extension SearchIndex {
  /// A slice of upkeep, for idle moments and now and then under load: segments are merged, and the write-ahead log
  /// is moved into the file once it is large. Between transactions only.
  /// - Parameter pages: leaves of segments to write (`SearchOptions.leafBytes`): 1024 take about 30 ms.
  /// - Returns: whether there is more to do.
  public func tidy(pages: Int = 1024) throws(SearchError) -> Bool {
    precondition(!database.isInTransaction, "between transactions only")
    let hasMerged = try merge(pages)
    if walBytes >= options.walBytesMax || !hasMerged { try database.checkpoint() }
    return hasMerged
  }

  /// Bytes that stand in the write-ahead log and have to go into the file.
  public var walBytes: Int { database.walFrames * options.pageBytes }

  /// - Returns: whether anything was merged.
  private func merge(_ pages: Int) throws(SearchError) -> Bool {
    guard let last = committed.last else { return false }
    if let old = committed.first(where: { $0.number >= tidying.sealedBelow && $0.number < last.number }) {
      // A negative number first makes all segments candidates, positive ones go on.
      let isBegun = tidying.sealing == old.number
      tidying.sealing = old.number
      if try merge(old.number, isBegun ? pages : -pages) { return true }
      tidying.sealedBelow = old.number + 1
      return true
    }
    return try merge(last.number, pages)
  }

  private func merge(_ part: UInt64, _ pages: Int) throws(SearchError) -> Bool {
    let table = SearchFormat.part(part)
    let before = sqlite3_total_changes64(database.handle)
    try begin()
    try database.execute("INSERT INTO \(table)(\(table), rank) VALUES ('merge', \(pages))", "merge")
    // One change is the statement itself (the documentation of FTS5, section 6.8).
    let hasMerged = sqlite3_total_changes64(database.handle) - before >= 2
    if hasMerged { try end() } else { rollback() }
    return hasMerged
  }
}
