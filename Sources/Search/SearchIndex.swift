internal import CSearch
internal import Glibc
public import Model

/// The index's writer: units go in by `add`, and stand there with their watermark from `commit` on. One thread at a
/// time; every call blocks. After an error `rollback`, or close it: nothing of the open transaction is kept.
///
/// Readers (`SearchReader`) have connections of their own and never wait for it.
public final class SearchIndex {
  /// All units up to here are in the index: what is committed.
  public private(set) var watermark: Position
  /// Units in the index: what is committed.
  public var units: Int { committed.reduce(0) { $0 + Int($1.units) } }

  let options: SearchOptions
  let database: Database
  private let span: UInt64
  private var body = UnitBody()
  /// The newest position that was handed to `add`.
  private var added: Position
  private var revision: Int64
  private(set) var committed: [SearchPart]
  private var parts: [SearchPart]
  /// The part that is written to, and its statements.
  private var current: (number: UInt64, insert: Statement, tokens: Statement)?
  private let update: Statement
  private let updatePart: Statement
  var tidying = SearchTidying()

  /// Opens the index below `directory`, or makes it.
  /// - Parameter log: 16 bytes of the log's UUID: the index must be of this log.
  /// - Throws: `damaged` for a file that is none of ours, of another version or log, or not sound as far as can be
  ///   seen: `discard` it and index anew.
  public init(
    directory: String, log: [UInt8], options: SearchOptions = SearchOptions()
  ) throws(SearchError) {
    precondition(log.count == SearchFormat.logBytes, "a log's UUID has 16 bytes")
    precondition(options.partPositions.nonzeroBitCount == 1, "a power of two")
    self.options = options
    let folder = "\(directory)/\(SearchFormat.folder)"
    if mkdir(folder, 0o700) != 0, errno != EEXIST {
      throw SearchError(
        errno == ENOSPC ? .full : .operational, operation: "make \(folder)",
        message: String(cString: strerror(errno)))
    }
    let path = SearchFormat.path(directory)
    let onDisk = SearchFile.revision(path)
    database = try Database(path: path, access: .write)
    try database.check(engram_pages_reserve(database.handle), "set up")
    try database.execute("PRAGMA page_size = \(options.pageBytes)", "set up")
    try SearchFile.configure(database, cacheBytes: options.cacheBytes)
    database.watchLog()
    if try database.number("SELECT count(*) FROM sqlite_schema", "look into") == 0 {
      try SearchFile.make(database, log: log, span: options.partPositions)
    }
    let head = try SearchFile.read(database, log: log)
    try SearchFile.checkRevision(onDisk, head)
    span = head.span
    watermark = head.watermark
    added = head.watermark
    revision = head.revision
    committed = try [SearchPart](database)
    parts = committed
    try SearchFile.checkSchema(database, parts: committed)
    update = try database.prepare("UPDATE meta SET watermark = ?1", "move the watermark", isKept: true)
    updatePart = try database.prepare(
      "REPLACE INTO parts(number, units, tokens) VALUES (?1, ?2, ?3)", "count units", isKept: true)
  }

  /// Removes the index below `directory`; nobody may have it open. What isn't there is no error.
  public static func discard(directory: String) throws(SearchError) {
    for suffix in ["", "-wal", "-shm"] {
      let path = SearchFormat.path(directory) + suffix
      if unlink(path) != 0, errno != ENOENT, errno != ENOTDIR {
        throw SearchError(
          .operational, operation: "remove \(path)", message: String(cString: strerror(errno)))
      }
    }
  }

  /// Adds a unit to the open transaction, which it begins if there is none. Events that are no units, and those up
  /// to the watermark, are passed over. The record is borrowed for the call.
  public func add(_ event: EventView) throws(SearchError) {
    guard event.kind == .unit, event.position > added, let rowid = Int64(exactly: event.position.rawValue)
    else {
      return
    }
    guard let text = body.make(event) else { return }
    try begin()
    let number = event.position.rawValue / span
    if current?.number != number { try open(number) }
    guard let current else { return }
    try current.insert.bind(1, rowid)
    try current.insert.bind(2, text: text)
    try current.insert.run()
    parts[parts.count - 1].units += 1
    added = event.position
  }

  /// Makes what was added, and the watermark, visible to readers that begin from now on. A crash of the process keeps
  /// it; one of the machine may take the newest transactions back, rows and watermark together.
  /// - Parameter through: all events up to here were handed to `add`.
  public func commit(through: Position) throws(SearchError) {
    guard through > watermark, let value = Int64(exactly: through.rawValue) else {
      return try end()
    }
    try begin()
    try update.bind(1, value)
    try update.run()
    try end()
    watermark = through
    added = max(added, through)
    // Readers look through all of it for each page.
    if walBytes >= options.walBytesMax { try database.checkpoint() }
  }

  func begin() throws(SearchError) {
    if !database.isInTransaction { try database.execute("BEGIN IMMEDIATE", "begin") }
  }

  func end() throws(SearchError) {
    guard database.isInTransaction else { return }
    try finishPart()
    try database.execute("PRAGMA user_version = \(Int32(truncatingIfNeeded: revision &+ 1))", "commit")
    try database.execute("COMMIT", "commit")
    revision &+= 1
    committed = parts
  }

  /// Gives up what was added since the last commit.
  public func rollback() {
    // An error may have ended the transaction already.
    if database.isInTransaction { try? database.execute("ROLLBACK", "roll back") }
    // The part may be gone.
    current = nil
    parts = committed
    added = watermark
  }

  /// Closes the file: the write-ahead log goes into it if no reader has it open.
  public func close() throws(SearchError) {
    rollback()
    try database.checkpoint()
  }

  // MARK: Parts

  private func open(_ number: UInt64) throws(SearchError) {
    try finishPart()
    current = nil
    let table = SearchFormat.part(number)
    if parts.last?.number != number {
      try database.execute(SearchFormat.table(ofPart: number), "make a part")
      for (name, value) in [
        ("hashsize", options.hashBytes), ("automerge", options.automerge),
        ("crisismerge", options.crisisMerge), ("usermerge", 4), ("pgsz", options.leafBytes),
      ] {
        try database.execute(
          "INSERT INTO \(table)(\(table), rank) VALUES ('\(name)', \(value))", "set up a part")
      }
      parts.append(SearchPart(number: number))
    }
    current = (
      number,
      try database.prepare("INSERT INTO \(table)(rowid, body) VALUES (?1, ?2)", "add a unit", isKept: true),
      try database.prepare(
        "SELECT engram_tokens(\(table)) FROM \(table) LIMIT 1", "count tokens", isKept: true)
    )
  }

  /// Writes down what the part holds.
  private func finishPart() throws(SearchError) {
    guard let current, var part = parts.last, part != committed.last else { return }
    if try current.tokens.step() == .row { part.tokens = current.tokens.integer(0) }
    current.tokens.reset()
    try updatePart.bind(1, Int64(part.number))
    try updatePart.bind(2, part.units)
    try updatePart.bind(3, part.tokens)
    try updatePart.run()
    parts[parts.count - 1] = part
  }
}
