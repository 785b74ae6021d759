internal import CSQLite
internal import Glibc
internal import Model

/// The file as a whole: made, set up and checked at every opening.
enum SearchFile {
  struct Head {
    var log: [UInt8]
    var watermark: Position
    var span: UInt64
    var revision: Int64
  }

  /// Settings of a connection that aren't kept in the file.
  static func configure(_ database: Database, cacheBytes: Int) throws(SearchError) {
    for setting in [
      "journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 0", "mmap_size = 0",
      "cache_size = \(-cacheBytes / 1024)", "temp_store = MEMORY", "cell_size_check = ON",
      "trusted_schema = ON",
    ] {
      try database.execute("PRAGMA \(setting)", "set up")
    }
  }

  static func make(_ database: Database, log: [UInt8], span: UInt64) throws(SearchError) {
    try database.execute("BEGIN IMMEDIATE", "make")
    for table in SearchFormat.tables { try database.execute(table, "make") }
    let insert = try database.prepare(
      "INSERT INTO meta(id, format, log, watermark, span) VALUES (1, \(SearchFormat.version), ?1, 0, \(span))",
      "make")
    try insert.bind(1, blob: log)
    try insert.run()
    try database.execute("PRAGMA application_id = \(SearchFormat.applicationID)", "make")
    try database.execute("PRAGMA user_version = 1", "make")
    try database.execute("COMMIT", "make")
  }

  /// What the file says of itself.
  /// - Parameter log: nil: of any log.
  static func read(_ database: Database, log: [UInt8]?) throws(SearchError) -> Head {
    guard try database.number("PRAGMA application_id", "open") == SearchFormat.applicationID else {
      throw damaged("it is no search index")
    }
    let statement: Statement
    do throws(SearchError) {
      statement = try database.prepare("SELECT format, log, watermark, span FROM meta", "open")
    } catch {
      // A sound file without the table is none of ours, whoever reads.
      if error.message.contains("no such") { throw damaged(error.message) }
      throw error
    }
    guard try statement.step() == .row else { throw damaged("it doesn't say what it is") }
    let format = statement.integer(0)
    guard format == SearchFormat.version else { throw damaged("its format is \(format)") }
    let found = [UInt8](statement.bytes(1))
    if let log, found != log { throw damaged("it is of another log") }
    guard let watermark = UInt64(exactly: statement.integer(2)),
      let span = UInt64(exactly: statement.integer(3)), span > 0
    else { throw damaged("its watermark is below zero") }
    statement.reset()
    return Head(
      log: found, watermark: Position(watermark), span: span,
      revision: try database.number("PRAGMA user_version", "open"))
  }

  /// The schema must be, to the letter, what this version makes.
  static func checkSchema(_ database: Database, parts: [SearchPart]) throws(SearchError) {
    var wanted = Set(SearchFormat.tables + parts.map { SearchFormat.table(ofPart: $0.number) })
    let statement = try database.prepare(
      "SELECT sql FROM sqlite_schema WHERE type <> 'table' OR name NOT LIKE 'part!_%!_%' ESCAPE '!'", "open")
    while try statement.step() == .row {
      let sql = String(decoding: statement.bytes(0), as: UTF8.self)
      guard wanted.remove(sql) != nil else { throw damaged("a table is not as it should be") }
    }
    guard wanted.isEmpty else { throw damaged("a table is missing") }
  }

  /// The number of the last transaction whose pages stand in the file itself, without the write-ahead log: a
  /// checkpoint writes the first page first. If the log has fewer than that, it has lost some.
  /// - Returns: nil if there is no file, or no header.
  static func revision(_ path: String) -> Int64? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { _ = Glibc.close(file) }
    var bytes: UInt32 = 0
    // "user version", section 1.3 of SQLite's file format.
    guard pread(file, &bytes, 4, 60) == 4 else { return nil }
    return Int64(Int32(bitPattern: UInt32(bigEndian: bytes)))
  }

  /// - Parameter onDisk: what `revision` said before the file was opened.
  static func checkRevision(_ onDisk: Int64?, _ head: Head) throws(SearchError) {
    guard let onDisk, Int32(truncatingIfNeeded: onDisk) &- Int32(truncatingIfNeeded: head.revision) > 0 else {
      return
    }
    throw damaged("its write-ahead log has lost transactions")
  }

  private static func damaged(_ message: String) -> SearchError {
    SearchError(.damaged, operation: "open", message: message)
  }
}
