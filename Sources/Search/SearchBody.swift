/// What is inserted into the index for one unit: `\x01TAG\x01TAG\x02TEXT\x03TEXT`.
///
/// Tags come first and become tokens as they stand (`\x01TAG`), all at one position; then the texts are words, and no
/// phrase spans two of them. A text can't say anything else than words: a `\x03` in it is inserted as a space.
public struct SearchBody: Sendable {
  /// To be inserted as text, with its length.
  public private(set) var bytes: [UInt8] = []
  private var hasText = false

  public init() {}

  /// Makes it empty; its memory stays.
  public mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    hasText = false
  }

  /// Adds a tag: bytes above `\x02`, of UTF-8, at most 255; before any text (traps).
  public mutating func add(tag: some Sequence<UInt8>) {
    precondition(!hasText, "a tag behind text would be words")
    bytes.append(1)
    bytes.append(contentsOf: tag)
  }

  /// Adds a text, UTF-8.
  public mutating func add(text: UnsafeRawBufferPointer) {
    bytes.append(hasText ? 3 : 2)
    hasText = true
    let start = bytes.count
    bytes.append(contentsOf: text)
    bytes.withUnsafeMutableBytes { all in
      for index in start..<all.count where all[index] == 3 { all[index] = 0x20 }
    }
  }
}
