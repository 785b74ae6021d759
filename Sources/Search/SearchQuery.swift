public import Model

/// What is searched for, checked and decoded: a value. Everything that is given must hold.
public struct SearchQuery: Hashable, Sendable {
  public enum Order: UInt8, Hashable, Sendable {
    /// By score, the best first; of equal scores the newest first.
    case relevance = 1
    /// By position, the newest first.
    case recent = 2
  }

  /// Words as a person typed them, UTF-8; empty: the filters alone decide.
  public var text: [UInt8] = []
  /// Any of them; empty: all. At most `Limits.searchContextsMax`.
  public var contexts: [[UInt8]] = []
  /// Any of them; empty: all. At most `Limits.searchAgentsMax`.
  public var agents: [[UInt8]] = []
  /// Types and metadata: all of it must hold. Its agent and its times stay empty: `agents` and `positions` say that.
  public var filter = UnitFilter()
  /// Where in the log units may stand: `since`, `until` and what a cursor binds have become this.
  public var positions: ClosedRange<UInt64> = 1...UInt64.max >> 1
  public var order = Order.recent
  /// Hits on a page.
  public var limit = Limits.searchPageDefault
  /// Hits to pass over.
  public var offset = 0
  /// Where the page before ended.
  public var resume: SearchResume?

  public init() {}
}

/// Where a page of hits ended, and what makes the next one go on in the same order: carried in cursors.
public struct SearchResume: Hashable, Sendable {
  /// The newest position that the first page could see: later units don't shift the pages behind it.
  public var through: Position
  /// The last hit, or the position down to which everything has been looked at.
  public var position: Position
  /// The last hit's score; relevance only.
  public var score: Double = 0
  /// What scores are computed from: taken once, so that they stay the same from page to page. Relevance only.
  public var statistics: RankingStatistics?
  /// The oldest position that was ranked: the pages behind rank the same, however long it takes them, or what the time
  /// limit left out would stand twice. Zero: ranking begins here. Relevance only.
  public var floor: Position
  /// Matches above `through` that pages before this one ranked as a part of their own. Relevance only.
  public var above: UInt64

  public init(
    through: Position, position: Position, score: Double = 0, statistics: RankingStatistics? = nil,
    floor: Position = .zero, above: UInt64 = 0
  ) {
    self.through = through
    self.position = position
    self.score = score
    self.statistics = statistics
    self.floor = floor
    self.above = above
  }
}

/// What BM25 needs to know of the whole index (Robertson and Zaragoza, 2009).
public struct RankingStatistics: Hashable, Sendable {
  /// Tokens of a unit, on average.
  public var averageLength: Double
  /// Inverse document frequency of each phrase that ranks, in the query's order.
  public var weights: [Float]

  public init(averageLength: Double, weights: [Float]) {
    self.averageLength = averageLength
    self.weights = weights
  }
}

/// One hit: a unit by its place in the log.
public struct SearchHit: Hashable, Sendable {
  public var position: Position
  /// Larger is better; 0 where nothing ranks.
  public var score: Double

  public init(position: Position, score: Double) {
    self.position = position
    self.score = score
  }
}

/// What a query found.
public struct SearchPage: Hashable, Sendable {
  public var hits: [SearchHit] = []
  /// Units that match within `positions` (without `offset`, `limit`, `resume`); an estimate unless exact.
  public var total = 0
  public var isTotalExact = true
  /// The time limit was met: the hits are those of the newest units, as far as they were looked at.
  public var isPartial = false
  /// All units up to here are in the index that was asked.
  public var indexed = Position.zero
  /// Nil: the last page.
  public var next: SearchResume?

  public init() {}
}
