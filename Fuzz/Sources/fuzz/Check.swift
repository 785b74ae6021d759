internal import Glibc

/// Ends the process where something doesn't hold: libFuzzer then keeps the input.
func demand(
  _ holds: Bool, _ what: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
  guard !holds else { return }
  complain("\(file):\(line): \(what())")
  abort()
}

/// A line to standard error.
func complain(_ line: String) {
  let bytes = Array("\(line)\n".utf8)
  _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}

/// Bytes as text for a message: printable ones as they are.
func shown(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { byte in
    (0x20...0x7e).contains(byte) ? String(UnicodeScalar(byte)) : "\\x" + String(byte, radix: 16)
  }.joined()
}

/// Copies of bytes that end where the process's memory ends: whoever reads one byte too many, be it in C, is seen.
/// Valid until the next input.
enum Fenced {
  private struct Field {
    let end: UnsafeMutableRawPointer
    let capacity: Int
  }

  private static let pageBytes = 4096
  private static let capacityMin = 64 << 10
  nonisolated(unsafe) private static var fields: [Field] = []
  nonisolated(unsafe) private static var used = 0

  /// All copies may be overwritten.
  static func rewind() { used = 0 }

  static func copy(_ bytes: some Collection<UInt8>) -> UnsafeMutableRawBufferPointer {
    if used == fields.count { fields.append(field(bytes.count)) }
    if fields[used].capacity < bytes.count { fields[used] = field(bytes.count) }
    let room = UnsafeMutableRawBufferPointer(start: fields[used].end - bytes.count, count: bytes.count)
    used += 1
    room.copyBytes(from: bytes)
    return room
  }

  /// Memory with a page behind it that can't be touched. What a larger one replaces is never given back: it is little.
  private static func field(_ bytes: Int) -> Field {
    let capacity = max(capacityMin, (bytes + pageBytes - 1) / pageBytes * pageBytes)
    let start = mmap(
      nil, capacity + pageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let start, start != MAP_FAILED, mprotect(start + capacity, pageBytes, PROT_NONE) == 0 else {
      fatalError("no memory for \(capacity) bytes")
    }
    return Field(end: start + capacity, capacity: capacity)
  }
}

/// Numbers that follow from an input alone (Steele, Lea and Flood, "SplitMix64", 2014), so that a finding comes back.
struct Chance: RandomNumberGenerator {
  private var state: UInt64

  init(_ input: [UInt8]) {
    state = input.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }

  /// Up to `count` places to cut `bytes` bytes at, in order.
  mutating func cuts(of bytes: Int, _ count: Int) -> [Int] {
    (0..<count).map { _ in Int.random(in: 0...bytes, using: &self) }.sorted()
  }
}

extension Collection where Element == UInt8 {
  /// Whether the standard library takes the bytes for UTF-8.
  var isText: Bool { String(validating: self, as: UTF8.self) != nil }
}
