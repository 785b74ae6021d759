import Access
import Bytes
import EngramTesting
import EventLoop
import Model
import Router
import Synchronization
import Telemetry
import Testing

@testable import API

/// Followers who may not see everything.
@Suite(.serialized) struct RestrictedFollowerTests {
  private let desk: StreamDesk

  init() throws {
    desk = try StreamDesk()
    desk.hub.wallClock = { 1000 * 1_000_000_000 }
  }

  private static func policy(_ verbs: [String], _ resources: [String]) throws -> Policy {
    Policy([try PolicyRule(agents: ["*"], verbs: verbs, resources: resources)])
  }

  private static let readsA = ["context/a/**"]

  private func count(_ text: String, in follower: Follower) -> Int {
    follower.socket.queuedPiecesText.components(of: text)
  }

  private func publish(_ contexts: [String]) throws {
    try desk.publish(contexts.map { StreamDesk.unit(context: $0) })
  }

  @Test(arguments: StreamFormat.allCases)
  func `only what is seen is framed, and the cursor goes on`(_ format: StreamFormat) throws {
    let caller = try TokenDesk.caller(try Self.policy(["context:read"], Self.readsA))
    let all = try desk.live(Subscription(), format, as: caller)
    let named = try desk.live(Subscription(contexts: [Array("b".utf8)]), format, as: caller)
    let open = try desk.live(Subscription(), format)
    try publish(["a", "b", "a/x", "b", "ab"])
    let name = "workunit"
    #expect(count(name, in: all) == 2 && count(name, in: named) == 0 && count(name, in: open) == 5)
    #expect(all.progress == Position(5) && named.progress == Position(5))
    #expect(desk.metrics.delivered(.unit) == 7)
  }

  @Test func `catching up leaves out what is hidden`() throws {
    let caller = try TokenDesk.caller(try Self.policy(["context:read"], Self.readsA))
    try publish(["a", "b", "a/x", "b"])
    let (follower, _) = try desk.follower(as: caller)
    follower.subscribe(Subscription(), after: .zero)
    #expect(count("event: workunit", in: follower) == 2)
    #expect(follower.progress == Position(4))
    try publish(["b", "a"])
    #expect(count("event: workunit", in: follower) == 3)
  }

  @Test func `events of contexts go by the context, those of locks by their path`() throws {
    let rules = [
      try PolicyRule(agents: ["*"], verbs: ["context:read"], resources: ["context/a"]),
      try PolicyRule(agents: ["*"], verbs: ["lock:read"], resources: ["lock/own/**"]),
    ]
    let caller = try TokenDesk.caller(Policy(rules))
    let kinds: EventKinds = [.units, .contexts, .locks]
    let follower = try desk.live(Subscription(kinds: kinds), as: caller)
    let none = try TokenDesk.caller(Policy([]))
    let nobody = try desk.live(Subscription(kinds: kinds), as: none)
    try desk.publish([
      { EventSamples.context(position: $0, context: Array("a".utf8)) },
      { EventSamples.context(position: $0, context: Array("b".utf8)) },
      { EventSamples.lock(.acquired, position: $0, path: Array("own/x".utf8)) },
      { EventSamples.lock(.acquired, position: $0, path: Array("other/x".utf8)) },
      // A lock's path is no context's id.
      { EventSamples.lock(.acquired, position: $0, path: Array("a".utf8)) },
    ])
    #expect(count("event: context", in: follower) == 1 && count("event: lock", in: follower) == 1)
    #expect(count("own/x", in: follower) == 1)
    #expect(nobody.socket.queuedBytes == 0)
  }

  @Test func `what is hidden makes nobody slow`() throws {
    let caller = try TokenDesk.caller(try Self.policy(["context:read"], Self.readsA))
    let follower = try desk.live(as: caller)
    follower.socket.hold()
    let kilobyte = StreamDesk.unit(bodyBytes: 1000, context: "b")
    for _ in 0..<30 { try desk.publish(Array(repeating: kilobyte, count: 100)) }
    #expect(follower.socket.queuedBytes == 0 && desk.metrics.streamLags.value == 0)
  }

  // MARK: Changes

  @Test func `another policy counts from the next event on`() throws {
    let first = try Self.policy(["context:read"], Self.readsA)
    let caller = try TokenDesk.caller(first)
    let follower = try desk.live(as: caller)
    let (late, _) = try desk.follower(as: caller)
    try publish(["a", "b"])
    #expect(count("event: workunit", in: follower) == 1)
    let second = try Self.policy(["context:read"], ["context/b"])
    desk.hub.accessChanged(try AccessControl(agents: ["ann"], second))
    try publish(["a", "b", "b"])
    #expect(count("event: workunit", in: follower) == 3 && !follower.isEnded)
    // History is seen as of now, too.
    late.subscribe(Subscription(), after: .zero)
    #expect(count("event: workunit", in: late) == 3)
    desk.hub.accessChanged(try AccessControl(agents: ["ann"], Policy([])))
    try publish(["a", "b"])
    #expect(count("event: workunit", in: follower) == 3 && !follower.isEnded)
  }

  @Test func `whoever is nobody any more is ended, and nobody else`() throws {
    let policy = try Self.policy(["context:read"], ["context/**"])
    let ann = try TokenDesk.caller(policy, "ann")
    let bob = try TokenDesk.caller(policy, "bob")
    let (gone, owner) = try desk.follower(.webSocket, as: ann)
    gone.subscribe(Subscription(), after: nil)
    gone.socket.letGo()
    let stays = try desk.live(as: bob)
    desk.hub.accessChanged(try AccessControl(agents: ["bob"], policy))
    #expect(owner.ends == [.revoked] && gone.isEnded && !stays.isEnded)
    try publish(["a"])
    #expect(gone.socket.queuedBytes == 0 && count("event: workunit", in: stays) == 1)
  }

  @Test func `authentication that is switched on ends who follows without it`() throws {
    let (open, owner) = try desk.follower()
    open.subscribe(Subscription(), after: nil)
    desk.hub.accessChanged(nil)
    #expect(owner.ends.isEmpty)
    desk.hub.accessChanged(try AccessControl(agents: [], Policy([])))
    #expect(owner.ends == [.revoked])
  }

  @Test func `a stream ends with its credential`() throws {
    let wall = Mutex<UInt64>(1000 * 1_000_000_000)
    desk.hub.wallClock = { wall.withLock { $0 } }
    let policy = try Self.policy(["context:read"], ["context/**"])
    let caller = try TokenDesk.caller(policy, expiresAt: 1040)
    let (follower, owner) = try desk.follower(as: caller)
    // Also of one that follows nothing.
    let (idle, idleOwner) = try desk.follower(.webSocket, as: caller)
    let (lasting, lastingOwner) = try desk.follower(as: try TokenDesk.caller(policy))
    for one in [follower, lasting] { one.subscribe(Subscription(), after: nil) }
    for second in UInt64(1)...60 {
      wall.withLock { $0 += 1_000_000_000 }
      desk.pass(seconds: 1)
      for one in [follower, idle, lasting] { one.socket.letGo() }
      // The wall's clock steps by a second; a timer that was set in between is up to a second late.
      for ends in [owner.ends, idleOwner.ends] where second < 40 || second > 41 {
        #expect(ends == (second < 40 ? [] : [.revoked]), "after \(second) s")
      }
    }
    #expect(lastingOwner.ends.isEmpty)
  }

  @Test func `a clock that is set forward ends a credential at the next beat`() throws {
    let wall = Mutex<UInt64>(1000 * 1_000_000_000)
    desk.hub.wallClock = { wall.withLock { $0 } }
    let caller = try TokenDesk.caller(try Self.policy(["context:read"], ["context/**"]), expiresAt: 1_000_000)
    let (follower, owner) = try desk.follower(as: caller)
    follower.subscribe(Subscription(), after: nil)
    desk.pass(seconds: 20)
    #expect(owner.ends.isEmpty)
    wall.withLock { $0 = 1_000_000 * 1_000_000_000 }
    for _ in 0..<16 {
      follower.socket.letGo()
      desk.pass(seconds: 1)
    }
    #expect(owner.ends == [.revoked])
  }

  // MARK: Cost

  @Test func `followers who share what they may do are asked for once`() throws {
    let policy = try Self.policy(["context:read"], Self.readsA)
    let permissions = try #require(try TokenDesk.caller(policy).permissions)
    var answers = ViewerAnswers()
    let record = EventSamples.unit(position: 1, context: Array("a".utf8), sequence: 1)
    try record.withUnsafeBytes { memory in
      let event = try #require(EventView(memory))
      for _ in 0..<3 {
        let sees = answers.sees(permissions, event)
        #expect(sees)
      }
      // More viewers than are kept: the answers are the same.
      for number in 0..<2 * ViewerAnswers.keptMax {
        let sees = number % 2 == 0
        let other = try TokenDesk.caller(sees ? policy : Policy([]), "agent \(number)")
        let answer = answers.sees(try #require(other.permissions), event)
        #expect(answer == sees)
      }
    }
    // Who sees everything is not asked for at all.
    let all = try Self.policy(["context:read", "lock:read"], ["context/**", "lock/**"])
    #expect(Viewing(try TokenDesk.caller(all)).viewer == nil && Viewing(.open).viewer == nil)
    #expect(Viewing(try TokenDesk.caller(policy)).viewer != nil)
  }
}
