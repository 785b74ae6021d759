public import Bytes

extension UnitID {
  /// Bytes of an id as text: 32 hexadecimal digits and 4 hyphens (RFC 9562, section 4).
  public static let textBytes = 36

  /// Reads 36 bytes of text, digits of either case. Nil unless it is a UUID of version 7 and of the variant
  /// of RFC 9562 (sections 4.1 and 4.2).
  public init?(_ text: UnsafeRawBufferPointer) {
    guard text.count == Self.textBytes else { return nil }
    let hyphen = UInt8(ascii: "-")
    guard text[8] == hyphen, text[13] == hyphen, text[18] == hyphen, text[23] == hyphen else { return nil }
    func word(_ at: Int) -> UInt64 {
      UInt64(littleEndian: text.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }
    func half(_ at: Int) -> UInt64 {
      UInt64(UInt32(littleEndian: text.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
    }
    guard let a = Self.value(word(0)), let b = Self.value(half(9) | half(14) << 32),
      let c = Self.value(half(19) | half(24) << 32), let d = Self.value(word(28))
    else { return nil }
    self.init(high: a << 32 | b, low: c << 32 | d)
    guard isVersion7 else { return nil }
  }

  /// Whether version and variant are those of a UUIDv7.
  public var isVersion7: Bool { high >> 12 & 0xF == 7 && low >> 62 == 0b10 }

  /// The value of eight hexadecimal digits of either case, the first in the lowest byte.
  @inline(__always)
  private static func value(_ text: UInt64) -> UInt64? {
    let letters = text >> 6 & 0x0101_0101_0101_0101
    var value = ((text & 0x0F0F_0F0F_0F0F_0F0F) &+ letters &* 9).byteSwapped
    value = (value | value >> 4) & 0x00FF_00FF_00FF_00FF
    value = (value | value >> 8) & 0x0000_FFFF_0000_FFFF
    value = (value | value >> 16) & 0xFFFF_FFFF
    // Any other character doesn't come back from what was made of it.
    return hexadecimal(value, 8) == text | letters << 5 ? value : nil
  }

  /// Writes 36 bytes of text in lower case, whatever the version.
  public func write(to out: inout ByteWriter) {
    func digits(_ word: UInt64, _ from: Int, _ count: Int) -> UInt64 {
      Self.hexadecimal(word >> UInt64(64 - (from + count) * 4), count)
    }
    // Little-endian: the first character is the lowest byte. The third group lies across two words.
    let hyphen = UInt64(UInt8(ascii: "-"))
    let third = digits(high, 12, 4)
    out.integer(digits(high, 0, 8))
    out.integer(hyphen | digits(high, 8, 4) << 8 | hyphen << 40 | third << 48)
    out.integer(third >> 16 | hyphen << 16 | digits(low, 0, 4) << 24 | hyphen << 56)
    out.integer(digits(low, 4, 8))
    out.integer(UInt32(truncatingIfNeeded: digits(low, 12, 4)))
  }

  public var description: String {
    String(unsafeUninitializedCapacity: Self.textBytes) { memory in
      guard let base = memory.baseAddress else { return 0 }
      var out = ByteWriter(base, capacity: memory.count)
      write(to: &out)
      return out.count
    }
  }

  /// The lowest `count` (4 or 8) digits of `word` as text, the highest digit in the lowest byte.
  @inline(__always)
  private static func hexadecimal(_ word: UInt64, _ count: Int) -> UInt64 {
    // Spread the digits over bytes, then add what leads from 0–15 to the characters.
    var spread = word & (count == 8 ? 0xFFFF_FFFF : 0xFFFF)
    spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
    spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
    spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
    let text = spread + 0x3030_3030_3030_3030 + letters * 39
    return count == 8 ? text.byteSwapped : text.byteSwapped >> 32
  }
}

extension UnitID: CustomStringConvertible {}

/// Makes ids that sort in the order in which they were made: 48 bits of milliseconds, 12 bits of the fraction
/// of one (RFC 9562, section 6.2, method 3), which count on where two ids fall into one step, and 62 random bits.
/// A value for the sequencer: time and chance are the caller's. 4,096 ids fit a millisecond; more run ahead of it.
public struct UnitIDMaker: Hashable, Sendable {
  /// How far ahead of its event's time an id may be for `observe` to follow it, in milliseconds.
  public static let leadMax: UInt64 = 1000

  /// The 60 bits of time of the last id.
  private var last: UInt64 = 0

  public init() {}

  /// An id later than all before it. `random`: 62 bits are used.
  public mutating func make(logTime: LogTime, random: UInt64) -> UnitID {
    last = max(UnitID.stamp(logTime), last + 1) & (1 << 60 - 1)
    return UnitID(stamp: last, random: random)
  }

  /// Follows an event that was replayed, so that later ids sort after its. A client's id far in the future
  /// moves nothing.
  public mutating func observe(_ id: UnitID, logTime: LogTime) {
    let stamp = id.stamp
    if stamp > last, stamp <= UnitID.stamp(logTime) + (Self.leadMax << 12) { last = stamp }
  }
}

extension UnitID {
  /// The id with these 60 bits of time and the lowest 62 bits of `random`.
  init(stamp: UInt64, random: UInt64) {
    self.init(high: (stamp >> 12) << 16 | 0x7000 | stamp & 0xFFF, low: 0b10 << 62 | random & (1 << 62 - 1))
  }

  /// A single id for a time: `UnitIDMaker` where several shall sort.
  public static func make(logTime: LogTime, random: UInt64) -> UnitID {
    UnitID(stamp: stamp(logTime), random: random)
  }

  /// Milliseconds << 12 | the fraction in 1/4096.
  static func stamp(_ time: LogTime) -> UInt64 {
    let (milliseconds, microseconds) = time.microseconds.quotientAndRemainder(dividingBy: 1000)
    return (milliseconds & (1 << 48 - 1)) << 12 | (microseconds << 12 / 1000)
  }

  /// The 60 bits of time.
  var stamp: UInt64 { (high >> 16) << 12 | high & 0xFFF }
}
