import EngramTesting
import Router
import Testing

struct RouterTests {
  private static func name(_ text: String) -> [UInt8] { [UInt8](text.utf8) }

  private static func matches(_ router: Router, _ context: [UInt8]) -> [UInt32] {
    var found: [UInt32] = []
    context.withUnsafeBytes { router.match(context: $0) { found.append($0) } }
    return found.sorted()
  }

  @Test func `who wants all contexts and who wants this one are matched`() {
    var router = Router()
    router.subscribe(1, to: nil)
    router.subscribe(2, to: [Self.name("a"), Self.name("b")])
    router.subscribe(3, to: [Self.name("b")])
    #expect(Self.matches(router, Self.name("a")) == [1, 2])
    #expect(Self.matches(router, Self.name("b")) == [1, 2, 3])
    #expect(Self.matches(router, Self.name("c")) == [1])
  }

  @Test func `nobody is matched after the last has gone`() {
    var router = Router()
    #expect(router.isEmpty)
    router.subscribe(7, to: [Self.name("a")])
    router.subscribe(8, to: nil)
    #expect(!router.isEmpty)
    router.unsubscribe(7, from: [Self.name("a")])
    #expect(Self.matches(router, Self.name("a")) == [8])
    router.unsubscribe(8, from: nil)
    #expect(router.isEmpty)
    #expect(Self.matches(router, Self.name("a")).isEmpty)
  }

  @Test func `removing what isn't there changes nothing`() {
    var router = Router()
    router.subscribe(1, to: [Self.name("a")])
    router.unsubscribe(2, from: [Self.name("a"), Self.name("b")])
    router.unsubscribe(2, from: nil)
    #expect(Self.matches(router, Self.name("a")) == [1])
  }

  @Test(arguments: UInt64(1)...40)
  func `like a list that is looked through`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var router = Router()
    // The naive twin: everybody, with what they want; nil is all.
    var naive: [UInt32: [[UInt8]]?] = [:]
    let names = (0..<12).map { Self.name(String(repeating: "x", count: $0 * 3) + "\($0)") }
    for step in 0..<600 {
      if random.oneIn(3), let leaving = naive.keys.sorted().dropFirst(random.below(naive.count)).first {
        router.unsubscribe(leaving, from: naive[leaving] ?? nil)
        naive[leaving] = nil
      } else if random.oneIn(2), naive.count < 30 {
        let wanted = random.oneIn(5) ? nil : names.filter { _ in random.oneIn(4) }
        router.subscribe(UInt32(step), to: wanted)
        naive[UInt32(step)] = .some(wanted)
      }
      let context = names[random.below(names.count)]
      let expected = naive.filter { $0.value?.contains(context) ?? true }.keys.sorted()
      #expect(Self.matches(router, context) == expected, "seed \(seed), step \(step)")
      // A subscriber without a context is in no list.
      let isEmpty = naive.values.allSatisfy { $0?.isEmpty ?? false }
      #expect(router.isEmpty == isEmpty, "seed \(seed), step \(step)")
    }
  }
}
