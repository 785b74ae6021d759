import EngramTesting
import Engine
import Model
import Testing

struct ResidentContextsTests {
  private static func context(_ number: Int, last: UInt64 = 0, pins: Int = 0) -> ResidentContext {
    let context = BatchMaker.name("context \(number)").asName { ResidentContext(new: $0) }
    context.lastPosition = Position(last)
    context.pins = pins
    return context
  }

  private static func isResident(_ contexts: ResidentContexts, _ number: Int) -> Bool {
    BatchMaker.name("context \(number)").asName { contexts.find($0) } != nil
  }

  @Test func `all stay while they fit`() {
    var contexts = ResidentContexts(countMax: 10)
    for number in 0..<10 { contexts.insert(Self.context(number), applied: .zero) }
    #expect(contexts.count == 10)
    #expect((0..<10).allSatisfy { Self.isResident(contexts, $0) })
    #expect(!Self.isResident(contexts, 10))
  }

  @Test func `contexts with many agents are fewer`() throws {
    let bench = try ManualHome { $0.residentAgentsMax = 20 }
    for context in 0..<40 {
      bench.submit((0..<10).map { ManualHome.unit("c\(context)", agent: "a\($0)") })
      bench.commit()
      try bench.apply()
    }
    #expect(bench.home.residentContexts <= 3)
  }

  struct Row: Sendable {
    var last: UInt64
    var pins: Int
    var stays: Bool
  }

  @Test(arguments: [
    Row(last: 5, pins: 0, stays: false),
    Row(last: 4, pins: 0, stays: false),
    Row(last: 6, pins: 0, stays: true),
    Row(last: 5, pins: 1, stays: true),
    Row(last: 6, pins: 2, stays: true),
  ])
  func `only what nobody names and the store knows is forgotten`(row: Row) {
    var contexts = ResidentContexts(countMax: 1)
    contexts.insert(Self.context(0, last: row.last, pins: row.pins), applied: .zero)
    contexts.insert(Self.context(1, last: 9), applied: Position(5))
    #expect(Self.isResident(contexts, 0) == row.stays)
    #expect(Self.isResident(contexts, 1))
  }

  @Test func `a forgotten one can come back`() {
    var contexts = ResidentContexts(countMax: 1)
    contexts.insert(Self.context(0), applied: .zero)
    contexts.insert(Self.context(1), applied: Position(1))
    let again = Self.context(0, last: 3)
    contexts.insert(again, applied: Position(1))
    #expect(BatchMaker.name("context 0").asName { contexts.find($0) } === again)
  }

  @Test(arguments: UInt64(1)...20)
  func `memory beats the store: nothing that is needed is ever forgotten`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var contexts = ResidentContexts(countMax: 8)
    var needed: [Int: ResidentContext] = [:]
    var position: UInt64 = 0
    var applied: UInt64 = 0
    for _ in 0..<500 {
      let number = random.below(40)
      let context: ResidentContext
      if let found = BatchMaker.name("context \(number)").asName({ contexts.find($0) }) {
        context = found
      } else {
        context = Self.context(number)
        contexts.insert(context, applied: Position(applied))
      }
      position += 1
      context.lastPosition = Position(position)
      context.pins = random.oneIn(6) ? 1 : 0
      needed[number] = context
      applied = max(applied, position - min(position, UInt64(random.below(12))))
      needed = needed.filter { $0.value.pins > 0 || $0.value.lastPosition > Position(applied) }
      for (number, context) in needed {
        #expect(BatchMaker.name("context \(number)").asName { contexts.find($0) } === context)
      }
    }
    #expect(contexts.count <= 40)
  }
}
