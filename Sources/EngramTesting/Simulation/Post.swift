internal import Bytes
internal import Engine
internal import Model

/// What a simulated client posts: the body of a request, and what the client knows of it.
final class Post {
  /// Limits of what `init(random:…)` draws.
  static let contexts = 3
  static let agents = 4

  let id: UnitID?
  let context: [UInt8]
  let agent: [UInt8]
  let payload: Int
  let expectedSequence: UInt64?
  let hasFence: Bool
  /// The payload's token as the client spelled it, without quotes.
  let token: [UInt8]
  private let body: UnsafeMutableRawBufferPointer

  init(
    id: UnitID?, context: [UInt8], agent: [UInt8], payloadBytes: Int, salt: Int, expectedSequence: UInt64?,
    hasFence: Bool
  ) {
    self.id = id
    self.context = context
    self.agent = agent
    payload = payloadBytes
    self.expectedSequence = expectedSequence
    self.hasFence = hasFence
    token = Post.text(payloadBytes, salt)
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
    if hasFence { text += ",\"fence\":{\"resource_path\":\"/a\",\"token\":1}".utf8 }
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

  static func name(_ letter: Character, _ number: Int) -> [UInt8] { [UInt8]("\(letter)\(number)".utf8) }

  /// Parses the body into a request of its own.
  /// - Returns: the parser's objection.
  func fill(_ request: AppendRequest) -> Problem? {
    request.draft.parse(UnsafeRawBufferPointer(body))
      ?? request.draft.resolveAgent(nil, isAuthenticated: false)
  }

  /// Another content under the same id.
  func contradicting(_ random: inout SeededRandom) -> Post {
    Post(
      id: id, context: random.oneIn(2) ? context : Post.name("c", random.below(Post.contexts)), agent: agent,
      payloadBytes: payload + 1, salt: random.below(4096), expectedSequence: nil, hasFence: false)
  }
}

/// A client with one connection: one request at a time, tried again until it has an answer.
struct SimulatedClient {
  /// The loop that its connection is on.
  let loop: Int
  var post: Post?
  var request: AppendRequest?
  /// The id was in history when the request was submitted: it can't be appended any more.
  var wasKnown = false
  /// Posts with ids of the client's own, which it may try again though they were answered.
  var answered: [Post] = []

  var isWaiting: Bool { request != nil }
}
