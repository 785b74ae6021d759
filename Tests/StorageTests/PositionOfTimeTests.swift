import EngramTesting
import Model
import Storage
import Testing

@Suite struct PositionOfTimeTests {
  /// Times at which events of every kind were appended; some share one, and one position is that of no event.
  private static let times: [(position: UInt64, time: UInt64)] = [
    (1, 100), (2, 100), (3, 250), (5, 250), (6, 250), (7, 251), (8, 900), (9, 900), (10, 5000), (11, 5000),
  ]

  private static func records() -> [[UInt8]] {
    times.enumerated().map { index, event in
      index % 4 == 3
        ? EventSamples.lock(
          .acquired, position: event.position, path: bytes("a/\(index)"), logTime: event.time)
        : EventSamples.unit(
          position: event.position, context: bytes("c\(index % 2)"), sequence: UInt64(index / 2 + 1),
          logTime: event.time)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func theFirstEventOfATimeIsFound(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    #expect(try store.position(atOrAfter: LogTime(microseconds: 0)) == Position(1))
    try store.apply(Self.records(), batch: 4)
    for flushed in [false, true] {
      if flushed { try store.flush(wait: true) }
      for time in [0, 99, 100, 101, 249, 250, 251, 252, 899, 900, 901, 4999, 5000, 5001, UInt64.max] {
        let expected = Self.times.first { $0.time >= time }?.position ?? 12
        #expect(
          try store.position(atOrAfter: LogTime(microseconds: time)) == Position(expected), "at \(time)")
      }
    }
    // Positions that no event has: the answer is the position of an event, or the next one to be applied.
    try store.apply([], upTo: Position(40))
    #expect(try store.position(atOrAfter: LogTime(microseconds: 5000)) == Position(10))
    #expect(try store.position(atOrAfter: LogTime(microseconds: 5001)) == Position(41))
    try store.apply([EventSamples.unit(position: 60, context: bytes("d"), sequence: 1, logTime: 6000)])
    #expect(try store.position(atOrAfter: LogTime(microseconds: 5001)) == Position(60))
    #expect(try store.position(atOrAfter: LogTime(microseconds: 6001)) == Position(61))
  }

  @Test(arguments: StoreKind.allCases)
  func aThousandEventsAgreeWithAScan(_ kind: StoreKind) throws {
    let directory = try TestDirectory()
    let store = try kind.open(directory)
    defer { store.close() }
    let seed = UInt64.random(in: 0..<1000)
    print("positions of times: seed \(seed)")
    var random = SeededRandom(seed: seed)
    var times: [UInt64] = []
    var time: UInt64 = 1000
    for _ in 1...1000 {
      time += UInt64.random(in: 0..<3, using: &random)
      times.append(time)
    }
    try store.apply(
      times.enumerated().map { index, time in
        EventSamples.unit(
          position: UInt64(index + 1), context: bytes("c"), sequence: UInt64(index + 1), logTime: time)
      }, batch: 100)
    for _ in 1...200 {
      let wanted = UInt64.random(in: 990...time + 10, using: &random)
      let expected = times.firstIndex { $0 >= wanted } ?? times.count
      #expect(
        try store.position(atOrAfter: LogTime(microseconds: wanted)) == Position(UInt64(expected + 1)),
        "at \(wanted)")
    }
  }
}
