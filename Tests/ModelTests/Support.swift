import Bytes
import Model

/// A body whose memory stays where it is until the last reference is gone, as a receive buffer does.
final class Body {
  let bytes: UnsafeRawBufferPointer
  private let memory: UnsafeMutableRawBufferPointer

  init(_ text: [UInt8]) {
    memory = .allocate(byteCount: max(text.count, 1), alignment: 1)
    memory.copyBytes(from: text)
    bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[0..<text.count])
  }

  convenience init(_ text: String) { self.init(Array(text.utf8)) }

  deinit { memory.deallocate() }
}

/// A draft together with the body that it borrows.
struct Parsed {
  let draft = UnitDraft()
  let body: Body
  let problem: Problem?

  init(_ text: [UInt8]) {
    body = Body(text)
    problem = draft.parse(body.bytes)
  }

  init(_ text: String) { self.init(Array(text.utf8)) }

  /// The first pointer at fault; "" where the problem names none.
  var pointer: String? { problem.map { $0.errors.first?.pointer ?? "" } }

  func record(_ facts: UnitFacts = .example, idempotency: IdempotencyMark? = nil) -> [UInt8] {
    let room = UnitEncoder.bytesMax(for: draft, idempotency: idempotency)
    return [UInt8](unsafeUninitializedCapacity: room) { memory, count in
      guard let base = memory.baseAddress else { return }
      count = UnitEncoder.encode(draft, facts, idempotency: idempotency, into: base, capacity: room)
    }
  }
}

extension UnitFacts {
  static let example = UnitFacts(
    id: UnitID(high: 0x0190_0000_0000_7abc, low: 0x8000_0000_0000_0001), sequence: Sequence(7),
    position: Position(12), logTime: LogTime(microseconds: 1_700_000_000_123_456))
}

let target = "01900000-0000-7abc-8000-000000000002"

/// A unit's body with these members beside (or, being equal in name, instead of) the required ones.
func unit(
  context: String = #""c""#, type: String = #""MESSAGE""#, payload: String = #""hello""#, _ more: String = ""
) -> String {
  #"{"context_id":\#(context),"agent_id":"a","type":\#(type),"payload":\#(payload)\#(more.isEmpty ? "" : ",")\#(more)}"#
}

func text(_ bytes: UnsafeRawBufferPointer?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Standard base64 with padding.
func base64(_ bytes: [UInt8]) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var text: [UInt8] = []
  for start in stride(from: 0, to: bytes.count, by: 3) {
    let group = (0..<3).reduce(0) { $0 << 8 | (start + $1 < bytes.count ? Int(bytes[start + $1]) : 0) }
    for n in 0..<4 {
      text.append(
        start + n - 1 < bytes.count || n < 2 ? alphabet[group >> (18 - 6 * n) & 63] : UInt8(ascii: "="))
    }
  }
  return String(decoding: text, as: UTF8.self)
}

/// A small seeded generator, so that a failure comes back.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }
}

extension Body {
  /// Keeps the memory for as long as `use` runs.
  func withBytes<Result>(_ use: (UnsafeRawBufferPointer) -> Result) -> Result {
    defer { withExtendedLifetime(self) {} }
    return use(bytes)
  }
}
