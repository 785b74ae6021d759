internal import CSQLite
internal import CSearch
internal import Glibc

/// A connection to SQLite, of one thread at a time. Nothing that a file says traps: result codes become `SearchError`.
final class Database {
  let handle: OpaquePointer

  enum Access {
    /// Makes the file if there is none.
    case write
    /// The file must be there. It is opened for writing, because readers share the memory of the WAL.
    case read
    /// For tools: nothing is written.
    case examine
  }

  private let access: Access
  /// Pages in the write-ahead log since it was last moved into the file whole, as of this connection's last commit.
  private let frames = UnsafeMutablePointer<Int>.allocate(capacity: 1)

  init(path: String, access: Access) throws(SearchError) {
    let flags =
      switch access {
      case .write: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
      case .read: SQLITE_OPEN_READWRITE
      case .examine: SQLITE_OPEN_READONLY
      }
    guard engram_pages_register() == SQLITE_OK else {
      throw SearchError(.operational, operation: "open", message: "SQLite doesn't take a file system")
    }
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(
      path, &opened, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, ENGRAM_PAGES_VFS)
    guard let opened else {
      throw SearchError(.operational, operation: "open", message: "no memory for a connection")
    }
    handle = opened
    self.access = access
    frames.initialize(to: 0)
    if code != SQLITE_OK { throw error(code, "open") }
    // A reader meets a lock only while the WAL is recovered or begun anew, the writer only at the end of another one.
    sqlite3_busy_timeout(handle, 2000)
    try check(engram_search_register(handle), "add the tokenizer")
    try check(engram_score_register(handle), "add functions")
  }

  /// From now on `walFrames` is kept. To be called behind `wal_autocheckpoint`, which takes the same hook away.
  func watchLog() {
    sqlite3_wal_hook(
      handle,
      { frames, _, _, count in
        frames?.assumingMemoryBound(to: Int.self).pointee = Int(count)
        return SQLITE_OK
      }, frames)
  }

  deinit {
    // Closing may write.
    sqlite3_close_v2(handle)
    frames.deallocate()
  }

  var walFrames: Int { frames.pointee }

  /// Runs statements that answer nothing of interest.
  func execute(_ sql: String, _ operation: String) throws(SearchError) {
    try check(sqlite3_exec(handle, sql, nil, nil, nil), operation)
  }

  func prepare(_ sql: String, _ operation: String, isKept: Bool = false) throws(SearchError) -> Statement {
    var statement: OpaquePointer?
    let flags = isKept ? UInt32(SQLITE_PREPARE_PERSISTENT) : 0
    try check(sqlite3_prepare_v3(handle, sql, -1, flags, &statement, nil), operation)
    guard let statement else {
      throw SearchError(.operational, operation: operation, message: "an empty statement")
    }
    return Statement(statement, self, operation)
  }

  /// The number in the first column of the only row.
  func number(_ sql: String, _ operation: String) throws(SearchError) -> Int64 {
    let statement = try prepare(sql, operation)
    guard try statement.step() == .row else {
      throw SearchError(.damaged, operation: operation, message: "a row is missing")
    }
    return statement.integer(0)
  }

  var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

  /// SQLITE_IOERR_DATA: what `CSearch/pages.c` says of a page.
  private static let pageIsDamaged = SQLITE_IOERR | (32 << 8)

  func check(_ code: Int32, _ operation: String) throws(SearchError) {
    if code != SQLITE_OK { throw error(code, operation) }
  }

  func error(_ code: Int32, _ operation: String) -> SearchError {
    if code == Database.pageIsDamaged {
      return SearchError(.damaged, operation: operation, message: "a page is not what was written there")
    }
    let message = sqlite3_errmsg(handle).map { String(cString: $0) } ?? "no message"
    let system = sqlite3_system_errno(handle)
    return SearchError(
      kind(code, system), operation: operation, message: "\(message) (\(code), errno \(system))")
  }

  private func kind(_ code: Int32, _ system: Int32) -> SearchError.Kind {
    switch code & 0xFF {
    case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_FORMAT, SQLITE_MISMATCH, SQLITE_CONSTRAINT, SQLITE_TOOBIG:
      return .damaged
    case SQLITE_ERROR:
      // Our statements are right: what they name is not what stands in the file. A reader leaves that to the writer,
      // so that no query can have the index thrown away.
      return access == .read ? .operational : .damaged
    case SQLITE_FULL: return .full
    case SQLITE_IOERR:
      // SQLITE_IOERR_CORRUPTFS
      if code == SQLITE_IOERR | (33 << 8) { return .damaged }
      return system == ENOSPC || system == EDQUOT ? .full : .operational
    default: return .operational
    }
  }
}

/// A prepared statement. It keeps its connection.
final class Statement {
  enum Step { case row, done, interrupted }

  private let handle: OpaquePointer
  private let database: Database
  private let operation: String

  fileprivate init(_ handle: OpaquePointer, _ database: Database, _ operation: String) {
    self.handle = handle
    self.database = database
    self.operation = operation
  }

  deinit { sqlite3_finalize(handle) }

  func step() throws(SearchError) -> Step {
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return .row
    case SQLITE_DONE: return .done
    case let code where code & 0xFF == SQLITE_INTERRUPT: return .interrupted
    case let code: throw database.error(code, operation)
    }
  }

  /// Steps to the end and makes the statement ready for another run.
  func run() throws(SearchError) {
    defer { sqlite3_reset(handle) }
    while try step() == .row {}
  }

  /// Ready for another run; what is bound stays.
  func reset() { sqlite3_reset(handle) }

  func bind(_ index: Int32, _ value: Int64) throws(SearchError) {
    try database.check(sqlite3_bind_int64(handle, index, value), operation)
  }

  /// The bytes must stay as they are until the statement is reset.
  func bind(_ index: Int32, text: UnsafeRawBufferPointer) throws(SearchError) {
    try database.check(
      engram_bind_text_static(handle, index, text.baseAddress, Int32(clamping: text.count)), operation)
  }

  /// Copies the bytes.
  func bind(_ index: Int32, blob: [UInt8]) throws(SearchError) {
    // SQLITE_TRANSIENT
    let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    try database.check(sqlite3_bind_blob(handle, index, blob, Int32(clamping: blob.count), copied), operation)
  }

  /// Hands a ranking to `engram_score`; it must live until the statement is reset.
  func bind(_ index: Int32, ranking: UnsafeMutablePointer<engram_ranking>) throws(SearchError) {
    try database.check(engram_bind_ranking(handle, index, ranking), operation)
  }

  func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
  func double(_ column: Int32) -> Double { sqlite3_column_double(handle, column) }
  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

  /// Valid until the next step.
  func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
    let base = sqlite3_column_blob(handle, column)
    return UnsafeRawBufferPointer(
      start: base, count: base == nil ? 0 : Int(sqlite3_column_bytes(handle, column)))
  }
}

extension Database {
  /// Moves what the write-ahead log holds into the file, as far as no reader needs it; waits for nobody.
  func checkpoint() throws(SearchError) {
    var inLog: Int32 = 0
    var moved: Int32 = 0
    let code = sqlite3_wal_checkpoint_v2(handle, "main", SQLITE_CHECKPOINT_PASSIVE, &inLog, &moved)
    // Busy: another one is at it, or a reader stands in the way.
    if code & 0xFF != SQLITE_BUSY { try check(code, "checkpoint") }
    if inLog == moved { frames.pointee = 0 }
  }
}
