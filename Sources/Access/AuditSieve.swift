/// Keeps those who are refused again and again from filling the audit log: of one address, a few lines in a while, and
/// then one that counts the rest. A value without a clock, bounded however many addresses there are.
public struct AuditSieve: Sendable {
  /// Lines of one address in one window.
  public static let linesMax = 20
  /// Nanoseconds.
  public static let windowNanoseconds: UInt64 = 10_000_000_000
  /// Addresses that are told apart. The others together have as many lines as one.
  public static let addressesMax = 1024

  /// What was left out: whose, and how many lines.
  public struct Summary: Sendable, Equatable {
    /// Nil: of those that were not told apart.
    public var address: ClientAddress?
    public var count: UInt64
  }

  private struct Entry {
    var began: UInt64
    var lines = 0
    var left: UInt64 = 0
  }

  private var entries: [ClientAddress: Entry] = [:]
  private var others: Entry?

  public init() {}

  /// Whether anything will have to be said when a window ends.
  public var isIdle: Bool { entries.isEmpty && others == nil }

  /// Whether a line about `address` is written.
  public mutating func admit(_ address: ClientAddress, now: UInt64) -> Bool {
    let key = address.network
    if var entry = entries[key] {
      defer { entries[key] = entry }
      return AuditSieve.count(&entry)
    }
    if entries.count < AuditSieve.addressesMax {
      var entry = Entry(began: now)
      defer { entries[key] = entry }
      return AuditSieve.count(&entry)
    }
    var entry = others ?? Entry(began: now)
    defer { others = entry }
    return AuditSieve.count(&entry)
  }

  private static func count(_ entry: inout Entry) -> Bool {
    guard entry.lines >= linesMax else {
      entry.lines += 1
      return true
    }
    entry.left += 1
    return false
  }

  /// Ends the windows that are over, and says what was left out in them.
  public mutating func summaries(now: UInt64) -> [Summary] {
    var found: [Summary] = []
    for (address, entry) in entries where AuditSieve.isOver(entry, now) {
      if entry.left > 0 { found.append(Summary(address: address, count: entry.left)) }
      entries[address] = nil
    }
    if let entry = others, AuditSieve.isOver(entry, now) {
      if entry.left > 0 { found.append(Summary(address: nil, count: entry.left)) }
      others = nil
    }
    return found
  }

  private static func isOver(_ entry: Entry, _ now: UInt64) -> Bool {
    now >= entry.began && now - entry.began >= windowNanoseconds
  }
}
