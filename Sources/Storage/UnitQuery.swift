public import Model

/// Some units of one context, as a list asks for them.
public struct UnitQuery: Sendable {
  public var context: [UInt8]
  /// Inclusive bounds.
  public var from: Sequence
  public var through: Sequence
  /// From the newest to the oldest.
  public var reverse: Bool
  public var filter: UnitFilter
  /// Units that are handed over, at most; more than 0.
  public var limit: Int
  /// A unit that takes the sum of the records' bytes past it is still handed over, as the last one.
  public var bytesMax: Int
  public var budget: ScanBudget

  public init(
    context: [UInt8], from: Sequence, through: Sequence, reverse: Bool = false,
    filter: UnitFilter = UnitFilter(), limit: Int, bytesMax: Int = .max, budget: ScanBudget = ScanBudget()
  ) {
    self.context = context
    self.from = from
    self.through = through
    self.reverse = reverse
    self.filter = filter
    self.limit = limit
    self.bytesMax = bytesMax
    self.budget = budget
  }
}

/// How far a scan of units came.
public struct UnitScan: Hashable, Sendable {
  /// `exhausted`: the whole range. `stopped`: a limit or the budget was reached. `incomplete`: as elsewhere.
  public var end: ScanEnd
  /// When stopped: the last sequence, in the direction of the scan, up to which nothing that matches is missing.
  public var reached: Sequence
  /// Stopped by the budget, not by the limit.
  public var isOverBudget: Bool

  public init(_ end: ScanEnd, reached: Sequence = .zero, isOverBudget: Bool = false) {
    self.end = end
    self.reached = reached
    self.isOverBudget = isOverBudget
  }
}

/// Hands units over one by one while counting what a query allows. Used by whatever finds the candidates.
public struct UnitSink {
  private let query: UnitQuery
  private var taken = 0
  private var bytes = 0
  public var budget: ScanBudget
  /// Why the scan stops, once it does.
  public private(set) var stop: UnitScan?

  public init(_ query: UnitQuery) {
    self.query = query
    budget = query.budget
  }

  /// Looks at a record of the context, the next one in the query's direction; hands it to `body` if it matches.
  /// - Returns: whether to go on.
  public mutating func offer(_ record: EventView, _ sequence: UInt64, _ body: (EventView) -> Bool) -> Bool {
    budget.spend(bytes: record.length)
    if query.filter.admits(record) {
      taken += 1
      bytes += record.length
      if !body(record) || taken >= query.limit || bytes >= query.bytesMax {
        stop = UnitScan(.stopped, reached: Sequence(sequence))
        return false
      }
    }
    return !isSpent(at: sequence)
  }

  /// Whether the budget is spent, all up to `sequence` having been looked at or passed over.
  public mutating func isSpent(at sequence: UInt64) -> Bool {
    // Without a filter each record is one of the page: its limits are enough.
    guard budget.isSpent, !query.filter.isOfTimeOnly else { return false }
    stop = UnitScan(.stopped, reached: Sequence(sequence), isOverBudget: true)
    return true
  }
}
