internal import Model

/// Blocks of a context in which something may be found, in one direction: block and, in its bits, which units.
enum CandidateBlock: Equatable {
  case block(UInt64, units: UInt64)
  case end
  /// Memory alone can't tell.
  case incomplete
  /// The budget is spent; `block` and what lies behind it has not been looked at.
  case spent(block: UInt64)
}

/// Walks over the blocks of a context that have units with one value. One thread; must not outlive the database.
final class PostingCursor {
  private let cursor: RocksCursor
  private let prefix: [UInt8]
  private let reverse: Bool
  private var current: CandidateBlock?
  private var isPlaced = false

  init(
    _ database: RocksDatabase, _ context: [UInt8], tag: UInt8, value: UInt64, reverse: Bool, _ tier: ReadTier
  ) {
    prefix = FilterIndex.prefix(context, tag: tag, value: value)
    self.reverse = reverse
    let end = prefix + [UInt8](repeating: 0xff, count: 9)
    cursor = RocksCursor(
      database, .filters, from: prefix + [UInt8](repeating: 0, count: 8), to: end, tier, withinPrefix: true,
      for: "look up a filter")
  }

  /// The nearest block at or behind `target` in the walk's direction. Targets never go back.
  func find(_ target: UInt64, _ budget: inout ScanBudget) throws(StoreError) -> CandidateBlock {
    if case .block(let block, _) = current, reverse ? block <= target : block >= target {
      return current ?? .end
    }
    // Below the first block nothing is posted: anything may be there.
    if target < FilterIndex.firstBlock { return .block(target, units: ~0) }
    var found = current == .end ? .end : try load(target, &budget)
    if found != .incomplete, reverse {
      // What the index doesn't have, it may have below its beginning.
      if case .block(let block, _) = found, block < FilterIndex.firstBlock { found = .end }
      if found == .end { found = .block(FilterIndex.firstBlock - 1, units: ~0) }
    }
    current = found
    return found
  }

  private func load(_ target: UInt64, _ budget: inout ScanBudget) throws(StoreError) -> CandidateBlock {
    var place = isPlaced ? try self.place() : nil
    if place.map({ reverse ? $0.block > target : $0.block < target }) ?? true {
      seek(target)
      place = try self.place()
    }
    budget.spend()
    guard let block = place?.block else { return try cursor.end() == .incomplete ? .incomplete : .end }
    var units: UInt64 = 0
    while let next = place, next.block == block {
      units |= next.units
      budget.spend()
      if reverse { cursor.previous() } else { cursor.next() }
      place = try self.place()
    }
    if place == nil, try cursor.end() == .incomplete { return .incomplete }
    return .block(block, units: units)
  }

  private func seek(_ target: UInt64) {
    var key = prefix
    let first = target * FilterIndex.blockUnits
    StoreKey.append(reverse ? first + (FilterIndex.blockUnits - 1) : first, to: &key)
    if reverse { cursor.seek(before: key) } else { cursor.seek(key) }
    isPlaced = true
  }

  /// The entry under the cursor.
  private func place() throws(StoreError) -> (block: UInt64, units: UInt64)? {
    guard cursor.isValid else { return nil }
    let key = cursor.key
    guard key.count == prefix.count + 8, let number: UInt64 = key.number(at: prefix.count),
      let reach = cursor.value.first
    else { throw .damaged("look up a filter", "an entry of `filters` of \(key.count) bytes is malformed") }
    let sequence = number.byteSwapped
    let bit: UInt64 = 1 << (sequence % FilterIndex.blockUnits)
    // This unit, or this and all the later ones of its block.
    return (sequence / FilterIndex.blockUnits, reach == FilterIndex.reachUnit ? bit : ~(bit - 1))
  }
}

/// The blocks that may hold what satisfies every part of a filter.
struct FilterWalk {
  /// Parts of a filter that are looked up, at most: a record is checked for the rest.
  static let partsMax = 8
  /// More types than this at once leave too little out.
  static let typesMax = 4

  /// One of each.
  private let parts: [[PostingCursor]]
  private let reverse: Bool

  /// Nil where the index is of no use.
  init?(_ database: RocksDatabase, _ query: UnitQuery, _ tier: ReadTier) {
    let reverse = query.reverse
    func cursor(_ tag: UInt8, _ value: UInt64) -> PostingCursor {
      PostingCursor(database, query.context, tag: tag, value: value, reverse: reverse, tier)
    }
    var parts: [[PostingCursor]] = []
    for pair in query.filter.metadata.prefix(FilterWalk.partsMax) {
      let value = pair.key.withUnsafeBytes { key in
        pair.value.withUnsafeBytes { FilterIndex.value(key: key, value: $0) }
      }
      parts.append([cursor(FilterIndex.tagMetadata, value)])
    }
    if let agent = query.filter.agent {
      parts.append([cursor(FilterIndex.tagAgent, agent.withUnsafeBytes { FilterIndex.value(agent: $0) })])
    }
    let types = (0..<UInt16.bitWidth).filter { query.filter.types & (1 << UInt16($0)) != 0 }
    if !types.isEmpty, types.count <= FilterWalk.typesMax {
      parts.append(types.map { cursor(FilterIndex.tagType, UInt64($0)) })
    }
    guard !parts.isEmpty else { return nil }
    self.parts = parts
    self.reverse = reverse
  }

  /// The nearest block at or behind `target`, and not behind `last`, in which a unit may satisfy every part.
  func next(_ target: UInt64, last: UInt64, _ budget: inout ScanBudget) throws(StoreError) -> CandidateBlock {
    var target = target
    while reverse ? target >= last : target <= last {
      switch try agree(target, &budget) {
      case .block(let block, let units) where block == target && units != 0:
        return .block(block, units: units)
      case .block(let block, _):
        guard block != target else {
          if target == 0, reverse { return .end }
          target = reverse ? target - 1 : target + 1
          break
        }
        target = block
      case .end: return .end
      case .incomplete: return .incomplete
      case .spent: break
      }
      if budget.isSpent { return .spent(block: target) }
    }
    return .end
  }

  /// What all parts have in the block, or the first other block that one of them names.
  private func agree(_ target: UInt64, _ budget: inout ScanBudget) throws(StoreError) -> CandidateBlock {
    var units: UInt64 = ~0
    for part in parts {
      guard case .block(let block, let own) = try union(part, target, &budget) else {
        return try union(part, target, &budget)
      }
      if block != target { return .block(block, units: 0) }
      units &= own
    }
    return .block(target, units: units)
  }

  /// The nearest block that one of the cursors has, with the units of all that have it.
  private func union(
    _ cursors: [PostingCursor], _ target: UInt64, _ budget: inout ScanBudget
  ) throws(StoreError) -> CandidateBlock {
    var nearest: UInt64?
    var units: UInt64 = 0
    for cursor in cursors {
      switch try cursor.find(target, &budget) {
      case .block(let block, let own):
        if nearest == block {
          units |= own
        } else if nearest.map({ reverse ? block > $0 : block < $0 }) ?? true {
          nearest = block
          units = own
        }
      case .incomplete: return .incomplete
      case .end, .spent: break
      }
    }
    return nearest.map { .block($0, units: units) } ?? .end
  }
}
