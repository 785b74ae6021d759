@testable internal import API
internal import Bytes
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

  enum Told: Equatable {
    case text([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(UInt16?, [UInt8])
    case failure(WebSocketError)

    init?(_ event: WebSocketEvent) {
      switch event {
      case .more: return nil
      case .text(let bytes): self = .text([UInt8](bytes))
      case .ping(let bytes): self = .ping([UInt8](bytes))
      case .pong(let bytes): self = .pong([UInt8](bytes))
      case .close(let code, let reason): self = .close(code?.rawValue, [UInt8](reason))
      case .failure(let error): self = .failure(error)
      }
    }
  }

  /// Pieces in memory of their own, which is overwritten once the reader has said `more`.
  private static func told(_ bytes: [UInt8], cuts: [Int]) -> [Told] {
    var reader = WebSocketReader(limits: limits)
    var all: [Told] = []
    var start = 0
    for end in cuts + [bytes.count] where end >= start {
      let piece = Fenced.copy(bytes[start..<end])
      var used = 0
      while true {
        let step = reader.next(UnsafeMutableRawBufferPointer(rebasing: piece[used...]))
        used += step.consumed
        demand(used <= piece.count, "\(used) bytes taken of \(piece.count)")
        guard let told = Told(step.event) else { break }
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

/// The frames of a client by the letter of RFC 6455: arrays, and the standard library's UTF-8.
struct NaiveFrames {
  private var rest: ArraySlice<UInt8>
  private var message: [UInt8]?
  private var fragments = 0
  private var empty = 0
  private let limits: WebSocketLimits
  private(set) var told: [WebSocket.Told] = []

  init(_ bytes: [UInt8], _ limits: WebSocketLimits) {
    rest = bytes[...]
    self.limits = limits
    do throws(WebSocketError) {
      while try readFrame() {}
    } catch {
      told.append(.failure(error))
    }
  }

  /// False: there is no other whole frame, or a close frame was read.
  private mutating func readFrame() throws(WebSocketError) -> Bool {
    guard let first = rest.popFirst() else { return false }
    let opcode = first & 15
    if first & 0x70 != 0 { throw .reservedBits }
    if ![0, 1, 2, 8, 9, 10].contains(opcode) { throw .reservedOpcode }
    if opcode >= 8, first < 0x80 { throw .fragmentedControl }
    guard let second = rest.popFirst() else { return false }
    if second < 0x80 { throw .unmasked }
    if opcode >= 8, second & 127 > 125 { throw .controlTooLong }
    guard let length = try readLength(second & 127), rest.count >= 4 else { return false }
    let key = Array(rest.prefix(4))
    rest = rest.dropFirst(4)
    if opcode < 8 { try beginData(opcode, length) }
    let payload = rest.prefix(Int(length)).enumerated().map { $1 ^ key[$0 % 4] }
    rest = rest.dropFirst(payload.count)
    let isWhole = payload.count == Int(length)
    if opcode >= 8 { return isWhole ? try control(opcode, payload) : false }
    let text = (message ?? []) + payload
    message = text
    if !NaiveFrames.mayBecomeText(text) { throw .invalidText }
    guard isWhole else { return false }
    if first >= 0x80 {
      if !text.isText { throw .invalidText }
      told.append(.text(text))
      message = nil
    }
    return true
  }

  private mutating func readLength(_ short: UInt8) throws(WebSocketError) -> UInt64? {
    guard short > 125 else { return UInt64(short) }
    let width = short == 126 ? 2 : 8
    guard rest.count >= width else { return nil }
    let length = rest.prefix(width).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    rest = rest.dropFirst(width)
    if length >= 1 << 63 { throw .lengthTooLarge }
    if length < (width == 2 ? 126 : 65536) { throw .lengthNotMinimal }
    return length
  }

  private mutating func beginData(_ opcode: UInt8, _ length: UInt64) throws(WebSocketError) {
    if message != nil, opcode != 0 { throw .messageUnfinished }
    if message == nil, opcode == 0 { throw .nothingToContinue }
    if opcode == 2 { throw .binary }
    if message == nil {
      fragments = 0
      empty = 0
    }
    if length > UInt64(limits.messageBytesMax) - UInt64(message?.count ?? 0) { throw .messageTooBig }
    fragments += 1
    if fragments > Int(limits.fragmentsMax) { throw .tooManyFragments }
    empty += length == 0 ? 1 : 0
    if empty > Int(limits.emptyFragmentsMax) { throw .tooManyEmptyFragments }
  }

  private mutating func control(_ opcode: UInt8, _ payload: [UInt8]) throws(WebSocketError) -> Bool {
    if opcode != 8 {
      told.append(opcode == 9 ? .ping(payload) : .pong(payload))
      return true
    }
    if payload.count == 1 { throw .closeOfOneByte }
    guard payload.count >= 2 else {
      told.append(.close(nil, []))
      return false
    }
    let code = UInt16(payload[0]) * 256 + UInt16(payload[1])
    if !(1000...1014).contains(code) && !(3000...4999).contains(code) || (1004...1006).contains(code) {
      throw .invalidCloseCode
    }
    if !payload[2...].isText { throw .invalidCloseReason }
    told.append(.close(code, Array(payload[2...])))
    return false
  }

  /// Whether the text is valid, or would be with up to three more bytes. Only its end can be open: where the last
  /// character begins, everything before it must be text by itself.
  private static func mayBecomeText(_ text: [UInt8]) -> Bool {
    if text.isText { return true }
    for open in 1...3 where open <= text.count && text.dropLast(open).isText {
      let end = Array(text.suffix(open))
      var ends: [[UInt8]] = [[]]
      for _ in 1...3 {
        ends = ends.flatMap { more in [0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf].map { more + [$0] } }
        if ends.contains(where: { (end + $0).isText }) { return true }
      }
    }
    return false
  }
}
