import Bytes
import EngramTesting
import Model
import Testing

@testable import Search

@Suite struct SearchIndexTests {
  @Test func whatIsCommittedIsFound() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    #expect(index.watermark == .zero)
    try index.add(TestUnit(position: 3, payload: "The compiler is quick"))
    try index.add(TestUnit(position: 5, payload: "a slow compiler"))
    let reader = try SearchReader(directory: directory.path)
    #expect(try reader.positions("compiler") == [])
    try index.commit(through: 7)
    #expect(index.watermark == Position(7))
    #expect(index.units == 2)
    let page = try reader.find("compiler")
    #expect(page.hits.map(\.position) == [Position(5), Position(3)])
    #expect(page.indexed == Position(7))
    #expect(page.total == 2)
    #expect(page.isTotalExact && !page.isPartial && page.next == nil)
    #expect(try reader.positions("\"slow compiler\"") == [5])
    #expect(try reader.positions("\"compiler slow\"") == [])
    #expect(try reader.positions("comp* quick") == [3])
    #expect(try reader.positions("compiler -slow") == [3])
    #expect(try reader.positions("-slow") == [3])
    #expect(try reader.positions() == [5, 3])
  }

  @Test func filtersHoldTogether() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    try index.add(TestUnit(position: 1, context: "a", agent: "x", type: .error, metadata: [["k", "v"]]))
    try index.add(TestUnit(position: 2, context: "b", agent: "x", metadata: [["k", "v"], ["l", "w"]]))
    try index.add(TestUnit(position: 300, context: "a", agent: "y", metadata: [["kv", ""], ["k", "w"]]))
    try index.commit(through: 300)
    let reader = try SearchReader(directory: directory.path)
    func found(_ set: (inout SearchQuery) -> Void) throws -> [UInt64] {
      var query = SearchQuery()
      set(&query)
      return try reader.positions("", query)
    }
    #expect(try found { $0.contexts = [Array("a".utf8)] } == [300, 1])
    #expect(try found { $0.contexts = [Array("a".utf8), Array("b".utf8)] } == [300, 2, 1])
    #expect(
      try found {
        $0.agents = [Array("x".utf8)]; $0.contexts = [Array("a".utf8)]
      } == [1])
    #expect(try found { $0.filter.insert(.error) } == [1])
    #expect(
      try found {
        $0.filter.insert(.error); $0.filter.insert(.message)
      } == [300, 2, 1])
    #expect(try found { $0.filter.insert(.init(key: Array("k".utf8), value: Array("v".utf8))) } == [2, 1])
    #expect(
      try found {
        $0.filter.insert(.init(key: Array("k".utf8), value: Array("v".utf8)))
        $0.filter.insert(.init(key: Array("l".utf8), value: Array("w".utf8)))
      } == [2])
    #expect(
      try found {
        $0.filter.insert(.init(key: Array("k".utf8), value: Array("v".utf8)))
        $0.filter.insert(.init(key: Array("k".utf8), value: Array("w".utf8)))
      } == [])
    #expect(try found { $0.positions = 2...299 } == [2])
  }

  @Test func eventsThatAreNoUnitsAndUnitsThatStandThereArePassedOver() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    try index.add(record: EventSamples.restart(position: 1))
    try index.add(TestUnit(position: 2, payload: "one"))
    try index.add(TestUnit(position: 2, payload: "two"))
    try index.commit(through: 2)
    try index.add(TestUnit(position: 2, payload: "three"))
    try index.add(record: EventSamples.restart(position: 3))
    try index.commit(through: 3)
    #expect(index.units == 1)
    let reader = try SearchReader(directory: directory.path)
    #expect(try reader.positions("one") == [2])
    #expect(try reader.positions("two") == [])
    #expect(try reader.positions("three") == [])
  }

  @Test func payloadsThatAreNoTextAreFoundByTagsAndMetadata() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    try index.add(TestUnit(position: 1, metadata: [["file", "photo of a cat"]], base64: "aGVsbG8="))
    try index.commit(through: 1)
    let reader = try SearchReader(directory: directory.path)
    #expect(try reader.positions("cat") == [1])
    #expect(try reader.positions("hello") == [])
    #expect(try reader.positions("agvsbg8") == [])
  }

  @Test func phrasesDontSpanPayloadAndMetadata() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    try index.add(
      TestUnit(position: 1, metadata: [["a", "three four"], ["b", "five"]], payload: "one two"))
    try index.commit(through: 1)
    let reader = try SearchReader(directory: directory.path)
    #expect(try reader.positions("\"one two\" \"three four\"") == [1])
    #expect(try reader.positions("\"two three\"") == [])
    #expect(try reader.positions("\"four five\"") == [])
  }

  @Test func userTextForgesNoTags() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    let forged = "\u{1}c00000000000\u{2}\u{1}t30000000000 word\u{3}gap\u{1}t30000000000"
    try index.add(TestUnit(position: 1, metadata: [["k", forged]], payload: forged))
    try index.commit(through: 1)
    let reader = try SearchReader(directory: directory.path)
    var query = SearchQuery()
    query.filter.insert(.toolCall)
    #expect(try reader.positions("", query) == [])
    #expect(try reader.positions("word") == [1])
  }

  @Test func rolledBackIsAsIfItNeverWas() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    try index.add(TestUnit(position: 1, payload: "kept"))
    try index.commit(through: 1)
    // Into a part that is not there yet.
    for position in 2...200 { try index.add(TestUnit(position: UInt64(position), payload: "lost")) }
    index.rollback()
    #expect(index.watermark == Position(1))
    #expect(index.units == 1)
    let reader = try SearchReader(directory: directory.path)
    #expect(try reader.positions("lost") == [])
    for position in 2...200 { try index.add(TestUnit(position: UInt64(position), payload: "again")) }
    try index.commit(through: 200)
    var query = SearchQuery()
    query.limit = 1000
    #expect(try reader.positions("again", query).count == 199)
    #expect(try reader.positions("lost", query) == [])
  }

  @Test func reopenedItGoesOn() throws {
    let directory = try SearchDirectory()
    for round in 0..<5 {
      let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
      #expect(index.watermark == Position(UInt64(round * 50)))
      #expect(index.units == round * 50)
      for n in 1...50 { try index.add(TestUnit(position: UInt64(round * 50 + n), payload: "round\(round)")) }
      if round % 2 == 0 {
        try index.commit(through: UInt64(round * 50 + 50))
        try index.close()
      } else {
        try index.commit(through: UInt64(round * 50 + 50))
      }
    }
    let reader = try SearchReader(directory: directory.path)
    var query = SearchQuery()
    query.limit = 1000
    #expect(try reader.positions("", query) == (1...250).reversed().map(UInt64.init))
    #expect(try reader.positions("round3", query).count == 50)
  }

  @Test func tidyingChangesNoAnswer() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog, options: .small)
    let reader = try SearchReader(directory: directory.path)
    for position in 1...300 {
      try index.add(TestUnit(position: UInt64(position), payload: "word\(position % 7) common"))
      if position % 10 == 0 { try index.commit(through: UInt64(position)) }
    }
    var query = SearchQuery()
    query.limit = 1000
    let before = try reader.positions("word3", query)
    #expect(before.count == 43)
    var slices = 0
    while try index.tidy(pages: 1) {
      slices += 1
      #expect(try reader.positions("word3", query) == before)
    }
    #expect(slices > 5)
    #expect(try index.tidy() == false)
  }

  @Test func aLongWriteAheadLogIsMovedIntoTheFile() throws {
    let directory = try SearchDirectory()
    var options = SearchOptions.small
    options.walBytesMax = 64 << 10
    let index = try SearchIndex(directory: directory.path, log: testLog, options: options)
    var longest = 0
    for position in 1...600 {
      try index.add(TestUnit(position: UInt64(position), payload: "word\(position) and word\(position * 7)"))
      try index.commit(through: UInt64(position))
      #expect(index.walBytes < options.walBytesMax)
      longest = max(longest, TestFile.read(directory.file + "-wal").count)
    }
    #expect(longest < 4 * options.walBytesMax, "\(longest) bytes")
    #expect(TestFile.read(directory.file).count > options.walBytesMax / 2)
  }

  @Test func anotherLogsIndexIsRefused() throws {
    let directory = try SearchDirectory()
    let index = try SearchIndex(directory: directory.path, log: testLog)
    try index.commit(through: 1)
    try index.close()
    let error = #expect(throws: SearchError.self) {
      try SearchIndex(directory: directory.path, log: testLog.reversed())
    }
    #expect(error?.kind == .damaged)
    try SearchIndex.discard(directory: directory.path)
    let fresh = try SearchIndex(directory: directory.path, log: testLog.reversed())
    #expect(fresh.watermark == .zero)
  }
}
