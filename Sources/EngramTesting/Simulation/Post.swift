internal import Bytes
internal import Engine
internal import Model

/// One unit as a simulated client posts it, and what the client knows of it.
final class PostedUnit {
  let id: UnitID?
  let context: [UInt8]
  let agent: [UInt8]
  /// Bytes.
  let payload: Int
  let expectedSequence: UInt64?
  let fence: (path: [UInt8], token: UInt64)?
  /// The payload's token as the client spelled it, without quotes.
  let token: [UInt8]
  private let body: UnsafeMutableRawBufferPointer

  init(
    id: UnitID?, context: [UInt8], agent: [UInt8], payloadBytes: Int, salt: Int, expectedSequence: UInt64?,
    fence: (path: [UInt8], token: UInt64)?
  ) {
    self.id = id
    self.context = context
    self.agent = agent
    payload = payloadBytes
    self.expectedSequence = expectedSequence
    self.fence = fence
    token = PostedUnit.text(payloadBytes, salt)
    var text: [UInt8] = []
    text.reserveCapacity(payloadBytes + 256)
    text += "{\"context_id\":\"".utf8
    text += context
    text += "\",\"agent_id\":\"".utf8
    text += agent
    text += "\",\"type\":\"MESSAGE\",\"payload\":\"".utf8
    text += token
    text += "\"".utf8
    if let id { text += ",\"id\":\"\(id)\"".utf8 }
    if let expectedSequence { text += ",\"expected_sequence\":\(expectedSequence)".utf8 }
    if let fence {
      text += ",\"fence\":{\"resource_path\":\"/".utf8
      text += fence.path
      text += "\",\"token\":\(fence.token)}".utf8
    }
    text += "}".utf8
    body = .allocate(byteCount: text.count, alignment: 16)
    body.copyBytes(from: text)
  }

  deinit { body.deallocate() }

  private static let alphabet: [UInt8] = (0..<131_072).map { (number: Int) in
    UInt8(97 + (number * 7 + number / 32) % 26)
  }

  private static func text(_ count: Int, _ salt: Int) -> [UInt8] {
    let from = salt % 4096
    return [UInt8](alphabet[from..<from + min(count, alphabet.count - 4096)])
  }

  /// Parses the body into a draft.
  /// - Returns: the parser's objection.
  func fill(_ draft: UnitDraft) -> Problem? {
    draft.parse(UnsafeRawBufferPointer(body)) ?? draft.resolveAgent(nil, isAuthenticated: false)
  }

  /// What is wrong with telling that this unit was appended as `event`, which `draft` was parsed for.
  func objection(to event: EventView, _ draft: UnitDraft) -> String? {
    guard let unit = event.unit else { return "is no unit" }
    if let fence {
      // Whether the lock was held is for the history to say.
      let told = event.field(.fence).map { [UInt8]($0.dropFirst(8)) }
      guard told == fence.path else { return "has another fence than was posted" }
    }
    if let id, id != unit.id { return "has another id than its client chose" }
    if let expectedSequence, expectedSequence != unit.sequence.rawValue {
      return "has sequence \(unit.sequence.rawValue), not \(expectedSequence)"
    }
    let isSame =
      unit.hash == draft.contentHash && event.contextID.map { $0.elementsEqual(context) } == true
      && event.agentID.map { $0.elementsEqual(agent) } == true
    guard isSame else { return "isn't what its client posted" }
    let start = Int(unit.payloadOffset) + 1
    let end = start + Int(unit.payloadLength) - 2
    guard start <= end, end < event.body.count else { return "has no payload" }
    let told = UnsafeRawBufferPointer(rebasing: event.body[start..<end])
    return token.withUnsafeBytes { $0.isSame(as: told) } ? nil : "has another payload than its client posted"
  }
}

/// What a simulated client posts in one request.
final class Post {
  /// Limits of what is drawn.
  static let contexts = 3
  static let agents = 4
  static let unitsMax = 5

  let units: [PostedUnit]
  /// The idempotency key; drawn from few, so that clients meet.
  let key: [UInt8]?
  /// Stands for the request's body.
  let print: ContentHash

  init(_ units: [PostedUnit], key: [UInt8]?, print: UInt64) {
    self.units = units
    self.key = key
    self.print = ContentHash(high: print, low: UInt64(units.count))
  }

  var payload: Int { units.reduce(0) { $0 + $1.payload } }
  /// A client may try it again though it was answered: it won't be appended twice.
  var isRepeatable: Bool { key != nil || units.allSatisfy { $0.id != nil } }
  /// As the history knows the key.
  var keyName: [UInt8]? {
    guard let key, let agent = units.first?.agent else { return nil }
    return agent.withUnsafeBytes { agent in
      key.withUnsafeBytes { IdempotencyName.make(agent: agent, key: $0) }
    }
  }

  static func name(_ letter: Character, _ number: Int) -> [UInt8] { [UInt8]("\(letter)\(number)".utf8) }

  /// Makes it a request.
  /// - Returns: the parser's objection.
  func fill(_ request: AppendRequest) -> Problem? {
    for unit in units {
      if let problem = unit.fill(request.addDraft()) { return problem }
    }
    if let key { key.withUnsafeBytes { request.setKey($0, requestHash: print) } }
    return nil
  }

  /// Another content under the same ids and the same key.
  func contradicting(_ random: inout SeededRandom) -> Post {
    let others = units.map { unit in
      PostedUnit(
        id: unit.id, context: random.oneIn(2) ? unit.context : Post.name("c", random.below(Post.contexts)),
        agent: unit.agent, payloadBytes: unit.payload + 1, salt: random.below(4096), expectedSequence: nil,
        fence: nil)
    }
    return Post(others, key: key, print: random.next())
  }
}

/// A client with one connection: one request at a time, tried again until it has an answer.
struct SimulatedClient {
  /// The loop that its connection is on.
  let loop: Int
  var post: Post?
  var request: AppendRequest?
  /// One of its ids was in history when the request was submitted: it can't be appended any more.
  var wasKnown = false
  /// Posts that it may try again though they were answered.
  var answered: [Post] = []

  var isWaiting: Bool { request != nil }
}
