import EngramTesting
import Model
import Router
import Testing

/// Records of events that are routed.
enum Sample {
  static func unit(_ context: String, agent: String = "anna", type: UInt8 = 1) -> [UInt8] {
    EventSamples.unit(
      position: 1, context: bytes(context), sequence: 1, type: type, agent: bytes(agent), metadata: [],
      logTime: 1)
  }

  static func context(_ context: String) -> [UInt8] {
    EventSamples.context(position: 1, context: bytes(context))
  }

  static func lock(_ path: String) -> [UInt8] {
    EventSamples.lock(.acquired, position: 1, path: bytes(path))
  }

  static func bytes(_ text: String) -> [UInt8] { [UInt8](text.utf8) }
}

extension Subscription {
  /// The same with names as text; nil contexts: all.
  init(
    _ contexts: [String]?, types: Set<UInt8> = [], agents: [String] = [], kinds: EventKinds = .units,
    lock: String = ""
  ) {
    self.init(
      contexts: contexts.map { $0.map(Sample.bytes) }, types: types, agents: agents.map(Sample.bytes),
      kinds: kinds, lockPrefix: Sample.bytes(lock))
  }
}

extension Router {
  /// Those that an event finds, each as often as it is found.
  borrowing func matches(_ record: [UInt8]) -> [UInt32] {
    var found: [UInt32] = []
    record.withUnsafeBytes { memory in
      guard let event = EventView(memory) else { return }
      match(event) { found.append($0) }
    }
    return found.sorted()
  }
}

struct RouterTests {
  @Test func `who wants all contexts and who wants this one are matched`() {
    var router = Router()
    router.subscribe(1, to: Subscription(nil))
    router.subscribe(2, to: Subscription(["a", "b"]))
    router.subscribe(3, to: Subscription(["b"]))
    #expect(router.matches(Sample.unit("a")) == [1, 2])
    #expect(router.matches(Sample.unit("b")) == [1, 2, 3])
    #expect(router.matches(Sample.unit("c")) == [1])
  }

  @Test func `types and agents hold for units alone`() {
    var router = Router()
    let kinds: EventKinds = [.units, .contexts]
    router.subscribe(1, to: Subscription(["a"], types: [2, 3], kinds: kinds))
    router.subscribe(2, to: Subscription(nil, agents: ["bob"], kinds: kinds))
    router.subscribe(3, to: Subscription(["a"], types: [2], agents: ["bob", "eve"]))
    #expect(router.matches(Sample.unit("a", agent: "bob", type: 2)) == [1, 2, 3])
    #expect(router.matches(Sample.unit("a", agent: "bob", type: 1)) == [2])
    #expect(router.matches(Sample.unit("a", agent: "anna", type: 3)) == [1])
    #expect(router.matches(Sample.unit("b", agent: "eve", type: 2)).isEmpty)
    #expect(router.matches(Sample.context("a")) == [1, 2])
    #expect(router.matches(Sample.context("b")) == [2])
  }

  @Test func `locks are matched by what their path begins with, whatever the contexts`() {
    var router = Router()
    router.subscribe(1, to: Subscription(["a"], kinds: .locks))
    router.subscribe(2, to: Subscription(nil, kinds: [.locks, .units], lock: "repo/"))
    router.subscribe(3, to: Subscription(nil, kinds: .locks, lock: "repo/main"))
    router.subscribe(4, to: Subscription(nil, kinds: .units, lock: "repo/"))
    #expect(router.matches(Sample.lock("repo/main")) == [1, 2, 3])
    #expect(router.matches(Sample.lock("repo/main.c")) == [1, 2, 3])
    #expect(router.matches(Sample.lock("repo/mai")) == [1, 2])
    #expect(router.matches(Sample.lock("repo")) == [1])
    #expect(router.matches(Sample.unit("a")) == [2, 4])
    router.unsubscribe(2)
    router.unsubscribe(3)
    #expect(router.matches(Sample.lock("repo/main")) == [1])
  }

  @Test func `a subscription replaces the one before`() {
    var router = Router()
    router.subscribe(1, to: Subscription(["a"], kinds: [.units, .locks]))
    router.subscribe(1, to: Subscription(["b"]))
    #expect(router.matches(Sample.unit("a")).isEmpty)
    #expect(router.matches(Sample.unit("b")) == [1])
    #expect(router.matches(Sample.lock("x")).isEmpty)
  }

  @Test func `nobody is matched after the last has gone`() {
    var router = Router()
    let isEmptyAtFirst = router.isEmpty
    router.subscribe(7, to: Subscription(["a"], kinds: [.units, .contexts, .locks]))
    router.subscribe(8, to: Subscription(nil))
    let isEmptyWithTwo = router.isEmpty
    router.unsubscribe(7)
    #expect(router.matches(Sample.unit("a")) == [8])
    router.unsubscribe(8)
    router.unsubscribe(8)
    router.unsubscribe(1000)
    let isEmptyAtLast = router.isEmpty
    #expect([isEmptyAtFirst, isEmptyWithTwo, isEmptyAtLast] == [true, false, true])
    #expect(router.matches(Sample.unit("a")).isEmpty)
  }

  @Test func `a name that stands twice is one`() {
    var router = Router()
    router.subscribe(1, to: Subscription(["a", "b", "a"], agents: ["x", "x"], kinds: [.units, .contexts]))
    #expect(router.matches(Sample.unit("a", agent: "x")) == [1])
    #expect(router.matches(Sample.context("a")) == [1])
    router.unsubscribe(1)
    let isEmpty = router.isEmpty
    #expect(isEmpty)
  }

  @Test func `more combinations than buckets are matched all the same`() {
    var router = Router()
    let contexts = (0..<200).map { "c\($0)" }
    let agents = (0..<200).map { "a\($0)" }
    router.subscribe(1, to: Subscription(contexts, types: [1, 2, 3], agents: agents))
    router.subscribe(2, to: Subscription(contexts, types: [1, 2], agents: ["a1"]))
    router.subscribe(3, to: Subscription((0..<1000).map { "c\($0)" }, types: [1]))
    #expect(router.matches(Sample.unit("c7", agent: "a9", type: 3)) == [1])
    #expect(router.matches(Sample.unit("c7", agent: "a1", type: 2)) == [1, 2])
    #expect(router.matches(Sample.unit("c7", agent: "b", type: 1)) == [3])
    #expect(router.matches(Sample.unit("c700", agent: "a1", type: 1)) == [3])
    #expect(router.matches(Sample.unit("d", agent: "a1", type: 1)).isEmpty)
    router.unsubscribe(1)
    #expect(router.matches(Sample.unit("c7", agent: "a1", type: 1)) == [2, 3])
  }

  @Test func `records that nobody may follow find nobody`() {
    var router = Router()
    router.subscribe(1, to: Subscription(nil, kinds: [.units, .contexts, .locks]))
    let restart = EventSamples.restart(position: 1)
    #expect(router.matches(restart).isEmpty)
  }
}

/// Against a twin that looks at everybody.
struct RouterModelTests {
  private enum Event {
    case unit(context: String, agent: String, type: UInt8)
    case context(String)
    case lock(String)

    var record: [UInt8] {
      switch self {
      case .unit(let context, let agent, let type): Sample.unit(context, agent: agent, type: type)
      case .context(let context): Sample.context(context)
      case .lock(let path): Sample.lock(path)
      }
    }

    func isWanted(by wanted: Subscription) -> Bool {
      func names(_ list: [[UInt8]]?, _ name: String) -> Bool { list?.contains(Sample.bytes(name)) ?? true }
      switch self {
      case .unit(let context, let agent, let type):
        return wanted.kinds.contains(.units) && names(wanted.contexts, context)
          && (wanted.types.isEmpty || wanted.types.contains(type))
          && (wanted.agents.isEmpty || names(wanted.agents, agent))
      case .context(let context): return wanted.kinds.contains(.contexts) && names(wanted.contexts, context)
      case .lock(let path):
        return wanted.kinds.contains(.locks)
          && String(decoding: wanted.lockPrefix, as: UTF8.self) == path.prefix(wanted.lockPrefix.count)
      }
    }
  }

  private static let contexts = (0..<8).map { String(repeating: "x", count: $0 * 3) + "\($0)" }
  private static let agents = ["anna", "bob", "eve", "zoe"]
  private static let paths = ["a", "a/b", "a/b/c", "ab", "b", "repo/main"]

  private static func some(_ names: [String], _ random: inout SeededRandom) -> [String] {
    names.filter { _ in random.oneIn(3) }
  }

  private static func subscription(_ random: inout SeededRandom) -> Subscription {
    let prefix = paths[random.below(paths.count)].prefix(random.below(5))
    return Subscription(
      random.oneIn(3) ? nil : some(contexts, &random),
      types: random.oneIn(2) ? [] : Set((1...8).filter { _ in random.oneIn(3) }.map { UInt8($0) }),
      agents: random.oneIn(2) ? [] : some(agents, &random),
      kinds: EventKinds(rawValue: UInt8(random.below(8))), lock: String(prefix))
  }

  private static func event(_ random: inout SeededRandom) -> Event {
    let context = contexts[random.below(contexts.count)]
    switch random.below(4) {
    case 0: return .context(context)
    case 1: return .lock(paths[random.below(paths.count)])
    default:
      return .unit(
        context: context, agent: agents[random.below(agents.count)], type: UInt8(1 + random.below(8)))
    }
  }

  @Test(arguments: UInt64(1)...60)
  func `like a list that is looked through`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var router = Router()
    var naive: [UInt32: Subscription] = [:]
    for step in 0..<500 {
      let subscriber = UInt32(random.below(40))
      switch random.below(3) {
      case 0:
        router.unsubscribe(subscriber)
        naive[subscriber] = nil
      case 1:
        let wanted = Self.subscription(&random)
        router.subscribe(subscriber, to: wanted)
        naive[subscriber] = wanted
      default: break
      }
      let event = Self.event(&random)
      let expected = naive.filter { event.isWanted(by: $0.value) }.keys.sorted()
      #expect(router.matches(event.record) == expected, "seed \(seed), step \(step)")
    }
    for subscriber in naive.keys { router.unsubscribe(subscriber) }
    let isEmpty = router.isEmpty
    #expect(isEmpty, "seed \(seed)")
  }

  @Test(arguments: UInt64(1)...20)
  func `what the subscription itself admits is what the router finds`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for step in 0..<200 {
      let wanted = Self.subscription(&random)
      let event = Self.event(&random)
      let (admits, passes) = event.record.withUnsafeBytes { memory in
        EventView(memory).map { (wanted.admits($0), wanted.filter.admits($0)) } ?? (false, false)
      }
      #expect(admits == event.isWanted(by: wanted), "seed \(seed), step \(step)")
      // History is read by a filter that lets at least as much through.
      #expect(passes || !admits, "seed \(seed), step \(step)")
    }
  }
}
