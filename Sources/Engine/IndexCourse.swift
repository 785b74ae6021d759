internal import Model
internal import Search

/// Where the index thread is.
struct IndexCourse {
  /// An index that is made anew.
  struct Rebuild {
    var through: Position
    var units: UInt64 = 0
    var begun: UInt64
    var told: UInt64
  }

  var index: (any UnitIndex)?
  var openings: UInt64 = 0
  /// Everything up to here was added; the index's own watermark is what is committed of it.
  var reached = Position.zero
  var units = 0
  var bytes = 0
  /// What is indexed comes from the store.
  var isBehind = false
  /// There may be something to put in order.
  var isUntidy = true
  var rebuild: Rebuild?
  /// Why an index is made anew, until it is open.
  var discarded: String?
  var discardedAt: UInt64 = 0
  var mark: IndexFileMark?
  var looked: UInt64 = 0
  var ends: UInt64?
  /// The first opening is over, whatever came of it.
  var hasTried = false
}
