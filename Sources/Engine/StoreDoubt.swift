internal import Model

/// Whether the store is to be believed after a flush or compaction failed. RocksDB only counts its background errors
/// and never says that one is over: here it is over once all that was applied when the error was seen is on disk and
/// no further error came. Fed once a round, about a second.
struct StoreDoubt {
  /// Rounds without progress after which only a restart can help: it replays what the log holds.
  static let roundsMax = 60
  /// Rounds between two attempts to write everything to disk.
  static let roundsPerFlush = 5
  /// Rounds without a new error before the doubt is over: RocksDB tries again every 5 s.
  static let quietRoundsMin = 7

  private var errors: UInt64 = 0
  private var through: Position?
  private var rounds = 0
  private var quietRounds = 0

  var isOpen: Bool { through != nil }
  var isHopeless: Bool { isOpen && rounds == StoreDoubt.roundsMax }
  /// A flush proves that the store can write.
  var wantsFlush: Bool { isOpen && rounds % StoreDoubt.roundsPerFlush == 0 }

  /// - Parameters:
  ///   - errors: background errors since the store was opened.
  ///   - isWriting: the last write to the store went well.
  ///   - isSpaceShort: waiting for space is no reason to give up.
  mutating func look(
    errors seen: UInt64, applied: Position, persisted: Position, isWriting: Bool, isSpaceShort: Bool
  ) {
    if seen > errors {
      if through == nil { rounds = 0 }
      errors = seen
      through = applied
      quietRounds = 0
    }
    guard let through else { return }
    rounds = isSpaceShort ? 0 : rounds + 1
    quietRounds += 1
    if persisted >= through, isWriting, quietRounds >= StoreDoubt.quietRoundsMin { self.through = nil }
  }
}
