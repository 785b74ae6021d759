import Access
import Bytes
import Engine
import Model
import Testing

@testable import API

/// The readers of batches, without a server.
struct UnitBatchTests {
  private static func unit(_ payload: String) -> String {
    #"{"context_id":"c","agent_id":"a","type":1,"payload":"\#(payload)"}"#
  }

  /// Memory of its own for a text, so that a read past its end would be found.
  private final class Body {
    let memory: UnsafeMutableRawBufferPointer
    init(_ text: [UInt8]) {
      memory = .allocate(byteCount: text.count, alignment: 1)
      memory.copyBytes(from: text)
    }
    deinit { memory.deallocate() }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }
  }

  private func payloads(_ request: AppendRequest) -> [String] {
    (0..<request.count).map { place in
      let draft = request.draft(place)
      return String(decoding: draft.payload.raw(of: draft.body), as: UTF8.self)
    }
  }

  private func parse(_ text: String) -> (AppendRequest, Problem?) {
    let request = AppendRequest(loop: 0)
    let body = Body(Array(text.utf8))
    let problem = UnitBatch.parse(body.bytes, into: request, by: .anybody)
    let found = problem == nil ? payloads(request) : []
    #expect(problem != nil || found.count == request.count)
    return (request, problem)
  }

  @Test func `an array and an object hold units in order`() {
    let units = ["x", "y", "z"].map(Self.unit).joined(separator: " ,\n")
    for text in ["[\(units)]", " [ \(units) ] ", "{\"work_units\":[\(units)]}"] {
      let (request, problem) = parse(text)
      #expect(problem == nil && request.count == 3, "\(text)")
    }
    #expect(parse("[]").1 == nil && parse("[]").0.count == 0)
  }

  @Test(arguments: [
    ("7", ""), ("{}", "/work_units"), (#"{"units":[]}"#, "/units"), (#"{"a~/b":[]}"#, "/a~0~1b"),
    (#"{"work_units":7}"#, "/work_units"), (#"{"work_units":[],"work_units":[]}"#, "/work_units"),
    (#"{"work_units":[{}]}"#, "/work_units/0/context_id"), ("[7]", "/0"),
    (#"[{"context_id":"c","type":1,"payload":""}]"#, "/0/agent_id"),
  ])
  func `what is wrong is named`(text: String, pointer: String) {
    #expect(parse(text).1?.errors.first?.pointer == pointer)
  }

  @Test func `what is ignored is limited for all units together`() {
    func unit(_ ignored: Int) -> String {
      let list = Array(repeating: "0", count: ignored).joined(separator: ",")
      return #"{"context_id":"c","agent_id":"a","type":1,"payload":"","ts":[\#(list)]}"#
    }
    let half = Limits.ignoredMembersMax / 2
    #expect(parse("[\(unit(half)),\(unit(half))]").1 == nil)
    #expect(parse("[\(unit(half)),\(unit(half + 1))]").1?.code == .invalidRequest)
  }

  @Test(arguments: ["", "[", "[]x", "{\"work_units\":[]", "[1", "\u{feff}[]"])
  func `what isn't JSON is refused`(text: String) {
    #expect(parse(text).1?.code == .invalidRequest)
  }

  // MARK: Lines

  private static let text = Array("\r\n\(unit("1"))\n\n \t\n\(unit("22"))\r\n\(unit("333"))".utf8)

  @Test func `lines cut anywhere give the same, in memory that moves`() {
    for cut in 0...Self.text.count {
      for second in stride(from: cut, through: Self.text.count, by: 7) {
        var lines = UnitLines()
        let request = AppendRequest(loop: 0)
        let bodies = [cut, second, Self.text.count].map { Body(Array(Self.text[..<$0])) }
        for (place, body) in bodies.enumerated() {
          #expect(lines.read(body.bytes, isWhole: place == 2, into: request, by: .anybody) == nil)
        }
        #expect(payloads(request) == ["1", "22", "333"], "cut at \(cut) and \(second)")
        #expect(!lines.isUnderWay)
      }
    }
  }

  @Test func `a bad line is named by its place in the body`() {
    for (text, pointer) in [
      ("\(Self.unit("1"))\n\nx\n", "/2"), ("{}\n", "/0/context_id"), ("\(Self.unit("1"))}\n", "/0"),
      ("\n\(Self.unit("1"))\(Self.unit("2"))", "/1"),
    ] {
      var lines = UnitLines()
      let body = Body(Array(text.utf8))
      let problem = lines.read(body.bytes, isWhole: true, into: AppendRequest(loop: 0), by: .anybody)
      #expect(problem?.errors.first?.pointer == pointer, "\(text)")
      #expect(!lines.isUnderWay)
    }
  }

  @Test func `a line that has not ended is not read`() {
    var lines = UnitLines()
    let request = AppendRequest(loop: 0)
    let body = Body(Array(Self.unit("1").utf8))
    #expect(lines.read(body.bytes, isWhole: false, into: request, by: .anybody) == nil)
    #expect(request.count == 0 && lines.isUnderWay)
  }

  @Test func `more units than a batch may have are refused where they begin`() {
    var lines = UnitLines()
    let request = AppendRequest(loop: 0)
    let body = Body(Array(String(repeating: Self.unit("") + "\n", count: Limits.batchUnitsMax + 1).utf8))
    #expect(lines.read(body.bytes, isWhole: false, into: request, by: .anybody)?.code == .invalidRequest)
    #expect(request.count == Limits.batchUnitsMax)
  }
}

extension Writer {
  /// Who isn't named, where authentication is off.
  static var anybody: Writer { Writer(.open, agent: nil) }
}
