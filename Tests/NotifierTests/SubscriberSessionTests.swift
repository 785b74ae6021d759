import EngramTesting
import Model
import Notifier
import Testing

struct SubscriberSessionTests {
  private static let limits: OutboxLimits = {
    var limits = OutboxLimits()
    limits.liveBytesMax = 1000
    limits.strainedBytesMax = 200
    limits.catchUpBytes = 300
    return limits
  }()

  private static func session(after start: UInt64) -> SubscriberSession {
    SubscriberSession(after: Position(start), limits: limits)
  }

  /// A session that is live at position 10.
  private static func live() -> SubscriberSession {
    var session = session(after: 10)
    _ = session.next(head: Position(10), lowest: Position(5), queuedBytes: 0)
    return session
  }

  /// One that waits for the store, from position 2, with a window that begins at 6.
  private static func reading() -> SubscriberSession {
    var session = session(after: 2)
    _ = session.next(head: Position(10), lowest: Position(6), queuedBytes: 0)
    return session
  }

  // MARK: What to do next: state × surroundings

  struct Next: Sendable, CustomTestStringConvertible {
    var title: String
    var cursor: UInt64
    var head: UInt64
    var lowest: UInt64
    var queued: Int
    var step: SubscriberSession.Step
    var state: SubscriberSession.State
    var testDescription: String { title }
  }

  @Test(arguments: [
    Next(title: "at the head", cursor: 10, head: 10, lowest: 5, queued: 0, step: .wait, state: .live),
    Next(title: "ahead of the head", cursor: 12, head: 10, lowest: 5, queued: 0, step: .wait, state: .live),
    Next(title: "an empty log", cursor: 0, head: 0, lowest: 1, queued: 0, step: .wait, state: .live),
    Next(
      title: "inside the window", cursor: 7, head: 10, lowest: 5, queued: 0,
      step: .readWindow(after: Position(7)), state: .catchingUp),
    Next(
      title: "directly before the window", cursor: 4, head: 10, lowest: 5, queued: 0,
      step: .readWindow(after: Position(4)), state: .catchingUp),
    Next(
      title: "one before that", cursor: 3, head: 10, lowest: 5, queued: 0,
      step: .readStore(after: Position(3), through: Position(4)), state: .catchingUp),
    Next(
      title: "an empty window", cursor: 3, head: 10, lowest: 11, queued: 0,
      step: .readStore(after: Position(3), through: Position(10)), state: .catchingUp),
    Next(
      title: "room in the outbox", cursor: 7, head: 10, lowest: 5, queued: 299,
      step: .readWindow(after: Position(7)), state: .catchingUp),
    Next(
      title: "a full outbox", cursor: 7, head: 10, lowest: 5, queued: 300, step: .wait, state: .catchingUp),
    Next(
      title: "a full outbox at the head", cursor: 10, head: 10, lowest: 5, queued: 900, step: .wait,
      state: .live),
  ])
  func next(_ row: Next) {
    var session = Self.session(after: row.cursor)
    let step = session.next(
      head: Position(row.head), lowest: Position(row.lowest), queuedBytes: row.queued)
    #expect(step == row.step)
    #expect(session.state == row.state)
    #expect(session.cursor == Position(row.cursor))
  }

  @Test func `while the store is read nothing else is asked for`() {
    var session = Self.reading()
    let meanwhile = session.next(head: Position(20), lowest: Position(6), queuedBytes: 0)
    #expect(meanwhile == .wait)
    let isFramed = session.offers(Position(21), queuedBytes: 0)
    #expect(!isFramed)
    session.scanned(through: Position(5))
    let step = session.next(head: Position(20), lowest: Position(6), queuedBytes: 0)
    #expect(step == .readWindow(after: Position(5)))
  }

  @Test func `a read that ends early goes on where it ended`() {
    var session = Self.reading()
    session.delivered(Position(3))
    session.scanned(through: Position(4))
    #expect(session.cursor == Position(4))
    let step = session.next(head: Position(10), lowest: Position(6), queuedBytes: 0)
    #expect(step == .readStore(after: Position(4), through: Position(5)))
  }

  @Test func `a read that found nothing new moves nothing back`() {
    var session = Self.reading()
    session.delivered(Position(5))
    session.scanned(through: Position(3))
    #expect(session.cursor == Position(5))
  }

  // MARK: States: state × what happens

  enum Happening: CaseIterable, Sendable {
    case asked, askedAtTheHead, offered, offeredWhenFull, closed
  }

  /// A session in each state, at position 10.
  private static func session(in state: SubscriberSession.State) -> SubscriberSession {
    var session = session(after: 10)
    switch state {
    case .joining: break
    case .catchingUp: _ = session.next(head: Position(20), lowest: Position(5), queuedBytes: 0)
    case .live: session = live()
    case .lagging:
      session = live()
      _ = session.offers(Position(11), queuedBytes: 1000)
    case .closing: session.close()
    }
    return session
  }

  @Test(arguments: SubscriberSession.State.allCases, Happening.allCases)
  func states(_ state: SubscriberSession.State, _ happening: Happening) {
    var session = Self.session(in: state)
    #expect(session.state == state)
    var step = SubscriberSession.Step.wait
    var isFramed = false
    switch happening {
    case .asked: step = session.next(head: Position(20), lowest: Position(5), queuedBytes: 0)
    case .askedAtTheHead: step = session.next(head: Position(10), lowest: Position(5), queuedBytes: 0)
    case .offered: isFramed = session.offers(Position(12), queuedBytes: 0)
    case .offeredWhenFull: isFramed = session.offers(Position(12), queuedBytes: 1000)
    case .closed: session.close()
    }
    let reads = SubscriberSession.Step.readWindow(after: Position(10))
    let expected: (state: SubscriberSession.State, step: SubscriberSession.Step, isFramed: Bool) =
      switch (state, happening) {
      case (_, .closed), (.closing, _): (.closing, .wait, false)
      case (.joining, .asked), (.catchingUp, .asked): (.catchingUp, reads, false)
      case (.lagging, .asked): (.lagging, reads, false)
      case (.joining, .askedAtTheHead), (.catchingUp, .askedAtTheHead), (.lagging, .askedAtTheHead):
        (.live, .wait, false)
      case (.live, .asked), (.live, .askedAtTheHead): (.live, .wait, false)
      case (.live, .offered): (.live, .wait, true)
      case (.live, .offeredWhenFull): (.lagging, .wait, false)
      case (.joining, _), (.catchingUp, _), (.lagging, _): (state, .wait, false)
      }
    #expect(session.state == expected.state)
    #expect(step == expected.step)
    #expect(isFramed == expected.isFramed)
    #expect(session.isBehind == (expected.state == .catchingUp || expected.state == .lagging))
  }

  @Test func `while all are strained, one falls behind earlier`() {
    var session = Self.live()
    var framed = [session.offers(Position(11), queuedBytes: 199, isStrained: true)]
    framed.append(session.offers(Position(12), queuedBytes: 200, isStrained: false))
    framed.append(session.offers(Position(13), queuedBytes: 200, isStrained: true))
    #expect(framed == [true, true, false])
    #expect(session.state == .lagging && session.cursor == Position(12))
  }

  // MARK: What history has lost

  @Test func `what is kept from behind the cursor on is no gap`() {
    var session = Self.reading()
    let gaps = [session.kept(from: Position(1)), session.kept(from: Position(3))]
    #expect(gaps == [nil, nil])
    #expect(session.cursor == Position(2))
  }

  @Test func `what is lost is told once, and read on behind it`() {
    var session = Self.reading()
    let gaps = [session.kept(from: Position(5)), session.kept(from: Position(5))]
    #expect(gaps == [Position(5), nil])
    session.delivered(Position(5))
    session.scanned(through: Position(5))
    let step = session.next(head: Position(10), lowest: Position(6), queuedBytes: 0)
    #expect(step == .readWindow(after: Position(5)))
  }

  // MARK: Live

  @Test func `live events are framed as they come`() {
    var session = Self.live()
    let framed = [
      session.offers(Position(11), queuedBytes: 0), session.offers(Position(15), queuedBytes: 999),
    ]
    #expect(framed == [true, true])
    #expect(session.cursor == Position(15))
    #expect(session.state == .live)
  }

  @Test func `a full outbox turns live into catching up, from the event that found no room`() {
    var session = Self.live()
    var framed = [
      session.offers(Position(11), queuedBytes: 0), session.offers(Position(14), queuedBytes: 1000),
    ]
    #expect(session.state == .lagging)
    #expect(session.cursor == Position(13))
    framed.append(session.offers(Position(15), queuedBytes: 0))
    #expect(framed == [true, false, false])
    let step = session.next(head: Position(15), lowest: Position(5), queuedBytes: 0)
    #expect(step == .readWindow(after: Position(13)))
  }

  @Test func `progress is the head while live, and the cursor while catching up`() {
    var session = Self.live()
    #expect(session.progress(head: Position(12)) == Position(12))
    _ = session.offers(Position(13), queuedBytes: 5000)
    #expect(session.progress(head: Position(13)) == Position(12))
  }

  // MARK: The promise

  /// A seeded world: events are published, some match; the window moves on; the outbox drains; the store
  /// answers later.
  private struct World {
    var random: SeededRandom
    var head: UInt64 = 0
    var lowest: UInt64 = 1
    var matching: [UInt64] = []
    var outbox: [UInt64] = []
    var framed: [UInt64] = []
    var asked: (after: UInt64, through: UInt64)?
    var session: SubscriberSession

    init(seed: UInt64) {
      random = SeededRandom(seed: seed)
      let head = UInt64(random.below(40))
      session = SubscriberSessionTests.session(after: UInt64(random.below(Int(head) + 3)))
      self.head = head
      matching = (1...40).filter { $0 <= head }
      lowest = 1 + UInt64(random.below(Int(head) + 1))
    }

    var queuedBytes: Int { outbox.count * 100 }

    mutating func frame(_ position: UInt64) {
      framed.append(position)
      outbox.append(position)
    }

    mutating func publish() {
      head += 1 + UInt64(random.below(2))
      guard random.oneIn(2) else { return }
      matching.append(head)
      if session.offers(Position(head), queuedBytes: queuedBytes) { frame(head) }
    }

    /// What the driver of a session does when it has something to do.
    mutating func advance() {
      switch session.next(head: Position(head), lowest: Position(lowest), queuedBytes: queuedBytes) {
      case .wait: break
      case .readStore(let after, let through): asked = (after.rawValue, through.rawValue)
      case .readWindow(let after):
        for position in matching where position > after.rawValue && position >= lowest {
          guard queuedBytes < 600 else { return session.scanned(through: Position(position - 1)) }
          session.delivered(Position(position))
          frame(position)
        }
        session.scanned(through: Position(head))
      }
    }

    /// The store answers, perhaps with a part.
    mutating func answer() {
      guard let range = asked else { return }
      asked = nil
      var last = range.through
      var count = 0
      for position in matching where position > range.after && position <= range.through {
        if count == 3, random.oneIn(2) {
          last = position - 1
          break
        }
        session.delivered(Position(position))
        frame(position)
        count += 1
      }
      session.scanned(through: Position(last))
    }

    mutating func act() {
      switch random.below(10) {
      case 0...3: publish()
      case 4: lowest = min(head + 1, lowest + UInt64(random.below(6)))
      case 5...6: outbox.removeFirst(min(outbox.count, random.below(8)))
      case 7: answer()
      default: advance()
      }
    }
  }

  @Test(arguments: UInt64(1)...200)
  func `every matching event behind the start comes once, in order`(seed: UInt64) {
    var world = World(seed: seed)
    let start = world.session.cursor.rawValue
    for _ in 0..<400 { world.act() }
    var rounds = 0
    while world.session.state != .live || world.asked != nil || !world.outbox.isEmpty, rounds < 1000 {
      rounds += 1
      world.outbox = []
      world.answer()
      world.advance()
    }
    #expect(world.session.state == .live, "seed \(seed)")
    #expect(world.framed == world.matching.filter { $0 > start }, "seed \(seed)")
  }
}
