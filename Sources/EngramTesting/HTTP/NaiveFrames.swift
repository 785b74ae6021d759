public import HTTP

/// What a `WebSocketReader` tells, with its bytes copied.
public enum ToldFrame: Equatable, Sendable {
  case text([UInt8])
  case ping([UInt8])
  case pong([UInt8])
  case close(UInt16?, [UInt8])
  case failure(WebSocketError)

  public static func text(_ text: String) -> ToldFrame { .text(Array(text.utf8)) }

  /// `nil` for `more`.
  public init?(_ event: WebSocketEvent) {
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

/// The frames of a client by the letter of RFC 6455: arrays, and the standard library's UTF-8.
public struct NaiveFrames {
  private var rest: ArraySlice<UInt8>
  private var message: [UInt8]?
  private var fragments = 0
  private var empty = 0
  private let limits: WebSocketLimits
  public private(set) var told: [ToldFrame] = []

  public init(_ bytes: [UInt8], _ limits: WebSocketLimits) {
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

extension Sequence<UInt8> {
  fileprivate var isText: Bool { String(validating: Array(self), as: UTF8.self) != nil }
}
