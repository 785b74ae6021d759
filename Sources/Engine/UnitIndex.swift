public import Model
public import Search

/// The index of units as the indexer feeds it: `SearchIndex`, or a test's twin that fails on purpose. One thread.
public protocol UnitIndex: AnyObject {
  /// All units up to here are in the index, on disk and for readers.
  var watermark: Position { get }

  /// Adds a unit above all that were added before; readers see it with the next `commit`.
  func add(_ unit: EventView) throws(SearchError)

  /// Makes what was added visible, together with the new watermark.
  func commit(through: Position) throws(SearchError)

  /// Forgets what was added since the last `commit`.
  func rollback()

  /// Puts the files in order for a little while. True: there is more to do.
  func tidy() throws(SearchError) -> Bool

  /// Forgets what isn't committed.
  func close()
}

/// Where an index lies.
public protocol UnitIndexFiles: Sendable {
  /// Opens the index, made anew if there is none.
  func open() throws(SearchError) -> any UnitIndex

  /// Removes the files of an index that is closed.
  func discard() throws(SearchError)

  /// What lies there now.
  func look() -> IndexFileMark
}

/// By which files of an index are known again: somebody may have put others in their place while they are open.
public struct IndexFileMark: Hashable, Sendable {
  public struct File: Hashable, Sendable {
    public var device: UInt64
    public var inode: UInt64
    public var bytes: Int64

    public init(device: UInt64, inode: UInt64, bytes: Int64) {
      self.device = device
      self.inode = inode
      self.bytes = bytes
    }

    fileprivate func isSame(_ other: File?) -> Bool {
      device == other?.device && inode == other?.inode
    }
  }

  public var database: File?
  public var log: File?

  public init(database: File?, log: File?) {
    self.database = database
    self.log = log
  }

  /// Whether these can be the files that bore `earlier` and were only written since: a database never shrinks, and
  /// its log, once made, stays as long as it is open.
  public func follows(_ earlier: IndexFileMark) -> Bool {
    guard let database, database.isSame(earlier.database), database.bytes >= earlier.database?.bytes ?? 0
    else {
      return false
    }
    return earlier.log == nil || log?.isSame(earlier.log) == true
  }
}

/// What the indexer wants an operator to know.
public enum IndexNotice: Sendable {
  /// Everything up to here is in the index that was found.
  case opened(Position)
  /// The index is made anew, up to this position at first.
  case rebuilding(reason: String, through: Position)
  case progress(Position, through: Position, units: UInt64)
  case rebuilt(through: Position, units: UInt64, seconds: Double)
  /// It is tried again every second.
  case failing(String)
  case recovered
}
