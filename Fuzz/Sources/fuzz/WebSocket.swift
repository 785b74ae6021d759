@testable internal import API
internal import Bytes
internal import EngramTesting
@testable internal import HTTP
@testable internal import Model
internal import Router

/// `WebSocketReader` tells what a reader by the letter of RFC 6455 tells, however the bytes are cut; what comes out is
/// read by `WebSocketMessageReader`, which takes nothing that isn't JSON.
enum WebSocket {
  private static let limits: WebSocketLimits = {
    var limits = WebSocketLimits()
    limits.messageBytesMax = 600
    limits.fragmentsMax = 6
    limits.emptyFragmentsMax = 2
    return limits
  }()

  static func run(_ input: [UInt8]) {
    let expected = NaiveFrames(input, limits).told
    var chance = Chance(input)
    var cuttings = [[], chance.cuts(of: input.count, 4)]
    if input.count <= 512 { cuttings.append(Array(0...input.count)) }
    for cuts in cuttings {
      let found = told(input, cuts: cuts)
      demand(found == expected, "cut at \(cuts): \(found), not \(expected)")
    }
    for case .text(let text) in expected { read(text) }
  }

  static func prove() {
    let text = Array(#"{"type":"publish","ref":1,"work_unit":{"context_id":"c","type":1,"payload":""}}"#.utf8)
    let found = told([0x81, 0x80 | UInt8(text.count), 0, 0, 0, 0] + text, cuts: [9])
    demand(found == [.text(text)], "\(found)")
    var reader = WebSocketMessageReader(UnsafeRawBufferPointer(Fenced.copy(text)))
    let draft = UnitDraft()
    guard case .publish = try? reader.read({ draft }) else {
      return demand(false, "a good message is refused")
    }
    demand(draft.type == .message, "the draft's type")
  }

  /// Pieces in memory of their own, which is overwritten once the reader has said `more`.
  private static func told(_ bytes: [UInt8], cuts: [Int]) -> [ToldFrame] {
    var reader = WebSocketReader(limits: limits)
    var all: [ToldFrame] = []
    var start = 0
    for end in cuts + [bytes.count] where end >= start {
      let piece = Fenced.copy(bytes[start..<end])
      var used = 0
      while true {
        let step = reader.next(UnsafeMutableRawBufferPointer(rebasing: piece[used...]))
        used += step.consumed
        demand(used <= piece.count, "\(used) bytes taken of \(piece.count)")
        guard let told = ToldFrame(step.event) else { break }
        all.append(told)
      }
      demand(used == piece.count, "\(piece.count - used) bytes not taken")
      demand(reader.heldBytes <= 2 * end + 512, "\(reader.heldBytes) bytes held of \(end)")
      for index in 0..<piece.count { piece[index] = 0xff }
      start = end
    }
    return all
  }

  /// What a message says, or why it says nothing.
  private static func read(_ text: [UInt8]) {
    let bytes = UnsafeRawBufferPointer(Fenced.copy(text))
    let draft = UnitDraft()
    var drafts = 0
    var reader = WebSocketMessageReader(bytes)
    let message: WebSocketMessage
    do throws(Problem) {
      message = try reader.read {
        drafts += 1
        return draft
      }
    } catch {
      JSON.check(error)
      return demand(isReference([UInt8](reader.ref)), "the ref of an error: \(shown(reader.ref))")
    }
    demand(NaiveJSON.accepts(text), "a message that isn't JSON was accepted")
    demand(isReference([UInt8](reader.ref)), "the ref of a message: \(shown(reader.ref))")
    switch message {
    case .publish:
      demand(drafts == 1, "\(drafts) drafts")
      JSON.check(draft)
    case .subscribe(let subscription, _):
      demand(subscription.contexts?.isEmpty != true, "a subscription to no context")
      demand(subscription.contexts?.allSatisfy(\.isText) ?? true, "an id that isn't text")
      demand(subscription.contexts?.count ?? 0 <= Limits.subscriptionContextsMax, "too many contexts")
      demand(subscription.agents.count <= Limits.subscriptionAgentsMax, "too many agents")
    case .ping, .unsubscribe: demand(drafts == 0, "a draft for nothing")
    }
    draft.reset()
  }

  /// It is sent back as it came: nothing, a string or an integer.
  private static func isReference(_ ref: [UInt8]) -> Bool {
    guard let first = ref.first else { return true }
    let isNumber = first == UInt8(ascii: "-") || (0x30...0x39).contains(first)
    return NaiveJSON.accepts(ref) && (isNumber || first == UInt8(ascii: "\""))
  }
}
