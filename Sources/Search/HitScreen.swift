public import Model

/// Which of the units that match a reader may know of. With one, everything in a page (hits, totals, whether they are
/// exact, cursors, scores) follows from the units that it admits; from the others only how long the search takes, and
/// so, beyond the time limit, that the page is partial.
///
/// Frequencies of words in the whole index would show in scores (somebody posts a word, and reads in its score how many
/// others have it: Büttcher and Clarke, "A Security Model for Full-Text File System Search in Multi-User Environments",
/// 2005). So with a screen all words weigh the same. As all words of a query must match, these weights would only have
/// told how much one of them counts beside another.
public struct HitScreen {
  /// Nearly all that match are admitted, because the query names contexts: then counting goes on behind a full page. Else
  /// it ends there, since how far it comes would tell how much is between that isn't admitted.
  public var isNarrow: Bool
  /// Asked of matches, newest first, once each.
  public var admits: (Position) throws(SearchError) -> Bool

  public init(isNarrow: Bool, admits: @escaping (Position) throws(SearchError) -> Bool) {
    self.isNarrow = isNarrow
    self.admits = admits
  }
}

/// A page's way of asking a screen inside a walk, which can't throw.
struct HitSieve {
  /// Cursors that say how far everything was looked at name multiples of this: the position that was looked at last may
  /// be of a unit that isn't admitted.
  static let grain: UInt64 = 256

  let screen: HitScreen?
  private var failure: SearchError?

  init(_ screen: HitScreen?) { self.screen = screen }

  /// Whether the walk is to end here.
  var hasFailed: Bool { failure != nil }

  mutating func admits(_ position: UInt64) -> Bool {
    guard let screen else { return true }
    do throws(SearchError) { return try screen.admits(Position(position)) } catch {
      failure = error
      return false
    }
  }

  /// What ended the walk, if that was an error.
  func check() throws(SearchError) {
    if let failure { throw failure }
  }

  /// The lowest position from which on upwards whole grains lie.
  static func grainEnd(_ position: UInt64) -> UInt64 { (position / grain + 1) * grain }
}

extension RankingStatistics {
  /// Of no index: each phrase weighs the same, and a text of 64 words is of average length.
  static func uniform(_ phrases: Int) -> RankingStatistics {
    RankingStatistics(averageLength: 64, weights: [Float](repeating: 1, count: phrases))
  }

  /// For a cursor that carries no more than what was counted before it.
  static let none = RankingStatistics(averageLength: 1, weights: [])
}
