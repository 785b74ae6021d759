import EngramTesting
import EventLoop
import Model
import Router
import Telemetry
import Testing
import WAL

@testable import API

@Suite(.serialized) struct FollowerTests {
  private let desk: StreamDesk

  init() throws { desk = try StreamDesk() }

  /// How often something stands in what is queued.
  private func count(_ text: String, in follower: Follower) -> Int {
    (follower.socket.queuedText ?? "").components(of: text)
  }

  private static var kilobyte: (UInt64) -> [UInt8] { StreamDesk.unit(bodyBytes: 1000) }

  // MARK: Frames are shared

  @Test func `followers of one format are sent the same memory, and each format has its own`() throws {
    let followers = try (0..<3).map { _ in try desk.live() }
    let others = try (0..<2).map { _ in try desk.live(Subscription(), .webSocket) }
    try desk.publish(units: 1)
    let addresses = Set(followers.map(\.socket.queuedAddress))
    let otherAddresses = Set(others.map(\.socket.queuedAddress))
    #expect(addresses.count == 1 && !addresses.contains(nil))
    #expect(otherAddresses.count == 1 && !otherAddresses.contains(nil))
    #expect(addresses != otherAddresses)
    #expect(followers[0].socket.queuedText?.hasPrefix("event: workunit\nid: 1\n") == true)
  }

  @Test func `neighbours are one piece, also over several batches`() throws {
    let follower = try desk.live()
    try desk.publish(units: 10)
    try desk.publish(units: 10)
    #expect(follower.socket.queuedPieces == 1)
    #expect(count("event: workunit\n", in: follower) == 20)
  }

  @Test func `what others are sent lies between, and makes two pieces`() throws {
    let all = try desk.live()
    let some = try desk.live(Subscription(contexts: [Array("a".utf8)]))
    try desk.publish(["a", "b", "a"].map { StreamDesk.unit(context: $0) })
    #expect(all.socket.queuedPieces == 1)
    #expect(some.socket.queuedPieces == 2)
    #expect(all.socket.queuedBytes == some.socket.queuedBytes / 2 * 3)
  }

  @Test func `a large body stays where the log has it`() throws {
    let followers = try (0..<2).map { _ in try desk.live() }
    let batch = try desk.publish([StreamDesk.unit(bodyBytes: 20_000)])
    for follower in followers { #expect(follower.socket.queuedPieces == 3) }
    #expect(batch.record(0).bodyLength == 20_000)
    #expect(followers[0].socket.queuedBytes == "event: workunit\nid: 1\ndata: \n\n".utf8.count + 20_000)
  }

  @Test func `arenas follow one another`() throws {
    let follower = try desk.live()
    let units = StreamFrames.arenaBytes / 1000 + 10
    try desk.publish(units: units, bodyBytes: 1000)
    #expect(follower.socket.queuedPieces == 2)
    #expect(follower.socket.queuedBytes > units * 1000)
  }

  // MARK: Who is slow holds its own memory

  @Test func `one that has not taken what it was sent is sent copies from 64 KiB on`() throws {
    let slow = try desk.live()
    let fast = try desk.live()
    try desk.publish(units: 50, bodyBytes: 1000)
    slow.socket.hold()
    fast.socket.letGo()
    #expect(slow.socket.queuedBytes < Limits.outboxSharedBytesMax)
    try desk.publish(units: 20, bodyBytes: 1000)
    fast.socket.letGo()
    // The first of these twenty were still shared.
    let shared = slow.socket.queuedPieces
    #expect(slow.socket.queuedBytes > Limits.outboxSharedBytesMax)
    try desk.publish([Self.kilobyte])
    #expect(slow.socket.queuedPieces >= shared)
    #expect(fast.socket.queuedPieces == 1)
    let (mine, theirs) = (slow.socket.queuedBytes, fast.socket.queuedBytes)
    #expect(theirs * 70 < mine)
  }

  @Test func `a full outbox makes it fall behind, and it is read to again once that is sent`() throws {
    let follower = try desk.live()
    try desk.publish(units: 10, bodyBytes: 1000)
    follower.socket.hold()
    try desk.publish(units: 1100, bodyBytes: 1000)
    let queued = follower.socket.queuedBytes
    #expect(queued > Limits.outboxBytesMax - 2000 && queued <= Limits.outboxBytesMax)
    #expect(desk.metrics.streamLags.value == 1)
    #expect(desk.metrics.laggingStreams.value == 1)
    try desk.publish(units: 100, bodyBytes: 1000)
    #expect(follower.socket.queuedBytes == queued)
    var rounds = 0
    while desk.metrics.laggingStreams.value > 0, rounds < 20 {
      rounds += 1
      follower.socket.letGo()
      #expect(follower.socket.queuedBytes < 300_000)
      follower.drained()
    }
    #expect(desk.metrics.laggingStreams.value == 0)
    #expect(follower.progress == Position(desk.position))
    #expect(desk.metrics.delivered(.unit) == desk.position)
  }

  @Test func `a large unit waits while the outbox is slow and nearly full`() throws {
    let follower = try desk.live()
    try desk.publish(units: 500, bodyBytes: 1000)
    follower.socket.hold()
    try desk.publish([StreamDesk.unit(bodyBytes: 700_000)])
    #expect(follower.socket.queuedBytes < 600_000)
    #expect(desk.metrics.laggingStreams.value == 1)
    follower.socket.letGo()
    follower.drained()
    #expect(follower.socket.queuedBytes > 700_000)
    #expect(desk.metrics.laggingStreams.value == 0)
  }

  // MARK: Subscriptions

  @Test func `it is told what it subscribed to before anything else`() throws {
    try desk.publish(units: 3)
    let (follower, owner) = try desk.follower()
    follower.subscribe(Subscription(contexts: [Array("c".utf8)]), after: Position(1))
    let text = try #require(follower.socket.queuedText)
    #expect(
      text.hasPrefix(
        "retry: 1000\n\nevent: subscribed\nid: 1\ndata: {\"position\":1,\"contexts\":[\"c\"]}\n\n"))
    #expect(text.components(of: "event: workunit\n") == 2)
    #expect(owner.refusals.isEmpty && owner.ends.isEmpty)
  }

  @Test func `a cursor ahead of history is refused, and what was followed before goes on`() throws {
    let (follower, owner) = try desk.follower(.webSocket)
    follower.subscribe(Subscription(contexts: [Array("a".utf8)]), after: nil)
    follower.subscribe(Subscription(contexts: [Array("b".utf8)]), after: Position(99))
    #expect(owner.refusals == [.gone])
    follower.socket.letGo()
    try desk.publish([StreamDesk.unit(context: "a"), StreamDesk.unit(context: "b")])
    #expect(count("\"cursor\":\"1\"", in: follower) == 1)
    #expect(count("\"cursor\":\"2\"", in: follower) == 0)
  }

  @Test func `a subscription replaces the one before, and none ends it`() throws {
    let follower = try desk.live(Subscription(contexts: [Array("a".utf8)]))
    follower.subscribe(Subscription(contexts: [Array("b".utf8)]), after: nil)
    follower.socket.letGo()
    try desk.publish([StreamDesk.unit(context: "a"), StreamDesk.unit(context: "b")])
    #expect(count("id: 2\n", in: follower) == 1 && count("event:", in: follower) == 1)
    follower.unsubscribe()
    follower.socket.letGo()
    #expect(follower.progress == nil)
    try desk.publish(units: 1, context: "b")
    #expect(follower.socket.queuedBytes == 0)
  }

  @Test func `every kind that is asked for, live and from history`() throws {
    var wanted = Subscription(contexts: [Array("c".utf8)], types: [1])
    wanted.kinds = [.units, .contexts, .locks]
    wanted.lockPrefix = Array("repo/".utf8)
    let live = try desk.live(wanted)
    let start = Position(desk.position)
    try desk.publish([
      { EventSamples.context(position: $0, context: Array("c".utf8)) }, StreamDesk.unit(),
      { EventSamples.lock(.acquired, position: $0, path: Array("repo/x".utf8)) },
      { EventSamples.lock(.acquired, position: $0, path: Array("other".utf8)) },
      { EventSamples.context(position: $0, context: Array("d".utf8)) },
    ])
    let (late, _) = try desk.follower()
    late.subscribe(wanted, after: start)
    for follower in [live, late] {
      #expect(count("event: context\nid: 1\n", in: follower) == 1)
      #expect(count("event: workunit\nid: 2\n", in: follower) == 1)
      #expect(count("event: lock\nid: 3\n", in: follower) == 1)
      #expect(count("id: 4\n", in: follower) + count("id: 5\n", in: follower) == 0)
      #expect(follower.progress == Position(5))
    }
    #expect(desk.metrics.delivered(.lock) == 2 && desk.metrics.delivered(.context) == 2)
  }

  // MARK: Time

  @Test func `a quiet stream gives a sign of life every 15 s, with how far it has come`() throws {
    let (follower, owner) = try desk.follower()
    follower.subscribe(Subscription(contexts: [Array("a".utf8)]), after: nil)
    follower.socket.letGo()
    try desk.publish(units: 5, context: "b")
    desk.pass(seconds: 16)
    #expect(follower.socket.queuedText == ": \n\nid: 5\n\n")
    follower.socket.letGo()
    desk.pass(seconds: 15)
    #expect(owner.beats == 2)
    #expect(follower.socket.queuedText == ": \n\nid: 5\n\n")
  }

  @Test func `without a subscription only the owner gives a sign`() throws {
    let (follower, owner) = try desk.follower(.webSocket)
    desk.pass(seconds: 16)
    #expect(owner.beats == 1)
    #expect(follower.socket.queuedBytes == 0)
  }

  @Test func `one that takes nothing for 30 s is ended`() throws {
    let (follower, owner) = try desk.follower()
    follower.subscribe(Subscription(), after: nil)
    follower.socket.hold()
    desk.pass(seconds: 29)
    #expect(owner.ends.isEmpty)
    desk.pass(seconds: 2)
    #expect(owner.ends == [.stalled])
    let queued = follower.socket.queuedBytes
    try desk.publish(units: 1)
    #expect(follower.socket.queuedBytes == queued)
    #expect(!follower.socket.isClosing)
    // It had its time to take leave.
    desk.pass(seconds: 16)
    #expect(follower.socket.isClosing)
  }

  @Test func `one that takes a little now and then is slow, not gone`() throws {
    let (follower, owner) = try desk.follower()
    follower.subscribe(Subscription(), after: nil)
    try desk.publish(units: 100)
    for _ in 0..<5 {
      follower.socket.take(100)
      follower.socket.hold()
      desk.pass(seconds: 25)
    }
    #expect(owner.ends.isEmpty)
  }

  // MARK: The end

  @Test func `the end is told once, and nothing is framed behind it`() throws {
    let (follower, owner) = try desk.follower()
    follower.subscribe(Subscription(), after: nil)
    desk.hub.closeAll()
    follower.end(.client)
    #expect(owner.ends == [.shutdown])
    let queued = follower.socket.queuedBytes
    try desk.publish(units: 1)
    follower.subscribe(Subscription(), after: nil)
    #expect(follower.socket.queuedBytes == queued)
  }

  @Test func `who has closed is forgotten`() throws {
    let (first, _) = try desk.follower()
    let (second, _) = try desk.follower(.webSocket)
    second.subscribe(Subscription(), after: nil)
    #expect(desk.hub.count == 2)
    #expect(desk.metrics.streams(.sse).value == 1 && desk.metrics.streams(.webSocket).value == 1)
    first.close()
    second.close()
    #expect(desk.hub.count == 0)
    #expect(desk.metrics.streams(.sse).value == 0 && desk.metrics.streams(.webSocket).value == 0)
    try desk.publish(units: 1)
    #expect(desk.metrics.delivered(.unit) == 0)
  }
}

extension String {
  /// How often `text` stands in it.
  func components(of text: String) -> Int {
    var (found, rest) = (0, self[...])
    while let range = rest.firstRange(of: text) {
      found += 1
      rest = rest[range.upperBound...]
    }
    return found
  }
}
