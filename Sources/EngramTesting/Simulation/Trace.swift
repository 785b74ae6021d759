/// What happened in a simulation, in order: a running hash of everything, and the last lines for people.
struct Trace {
  enum Event: String {
    case post, appended, exists, refused, retry, turn, disk, sealed, published, evicted, read, readDone
    case applied, applyFailed, flushed, trimmed, tick, witness, clock, looked, told, space, fault
    case crash, kill, start, cutStart, recovered, rot, failed, quiesced
    case lock, granted, renewed, released, dropped, patch, patched, follow

    /// The same in every process, as a string's own hash is not.
    var number: UInt64 {
      rawValue.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0100_0000_01b3 }
    }
  }

  private static let keptMax = 100
  private var kept: [(event: Event, a: UInt64, b: UInt64)] = []
  private var next = 0
  private(set) var count = 0
  private(set) var hash: UInt64 = 0

  mutating func note(_ event: Event, _ a: UInt64 = 0, _ b: UInt64 = 0) {
    for word in [event.number, a, b] {
      hash = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
      hash ^= hash >> 29
    }
    count += 1
    if kept.count < Self.keptMax {
      kept.append((event, a, b))
    } else {
      kept[next] = (event, a, b)
      next = (next + 1) % Self.keptMax
    }
  }

  /// The last lines, oldest first.
  var lines: [String] {
    (kept[next...] + kept[..<next]).enumerated().map { offset, line in
      "\(count - kept.count + offset + 1)  \(line.event.rawValue) \(line.a) \(line.b)"
    }
  }
}
