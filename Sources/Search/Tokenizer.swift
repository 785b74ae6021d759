internal import CSearch

/// Takes texts apart as the index does: the FTS5 tokenizer `engram` (`Sources/CSearch`) outside of any table.
///
/// One thread at a time. Holds an SQLite connection in memory, for its `unicode61`; about 100 KiB.
public final class Tokenizer {
  public enum Mode: Int32, Sendable {
    /// Text as it stands: queries, payloads, metadata values.
    case text = 1
    /// What is inserted into the table: tags, then text with gaps (`SearchBody`).
    case body = 2
  }

  /// What is special about a token (`CSearch.h`).
  public struct Flags: OptionSet, Hashable, Sendable {
    public var rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// At the position of the token before it.
    public static let colocated = Flags(rawValue: 0x0001)
    /// All of a word like `getUserName`, colocated with its first part.
    public static let whole = Flags(rawValue: 0x0100)
    /// A part of such a word. The first one is followed by the whole.
    public static let part = Flags(rawValue: 0x0200)
    /// A word with the signs that make it another one, colocated with the word: `c++`.
    public static let signed = Flags(rawValue: 0x0400)
    /// Two neighbouring characters of a script that is written without spaces.
    public static let pair = Flags(rawValue: 0x0800)
    /// The last character of a run of such characters, alone.
    public static let last = Flags(rawValue: 0x1000)
    /// A tag of a body, or the gap between parts of its text.
    public static let tag = Flags(rawValue: 0x2000)
  }

  /// Bytes of the longest token: words are cut there, in texts and in queries.
  public static let tokenBytesMax = 256

  private let handle: OpaquePointer

  /// - Throws: `.operational` if SQLite has no memory, or no FTS5.
  public init() throws(SearchError) {
    var handle: OpaquePointer?
    let code = engram_tokenizer_open(&handle)
    guard code == 0, let handle else {
      throw SearchError(.operational, operation: "open tokenizer", message: "SQLite code \(code)")
    }
    self.handle = handle
  }

  deinit { engram_tokenizer_close(handle) }

  /// Calls `body` for each token, in the order of the text, until it returns false.
  ///
  /// - Parameters:
  ///   - text: UTF-8, NUL included; less than 2 GiB. Bytes that are no UTF-8 separate words.
  ///   - body: given what is special about the token, its folded bytes (lent for the call) and its offsets in `text`,
  ///     which lie between characters.
  /// - Throws: `.operational` if there is no memory, or the text is too long.
  public func forEachToken(
    of text: UnsafeRawBufferPointer, mode: Mode = .text,
    _ body: (Flags, UnsafeRawBufferPointer, Range<Int>) -> Bool
  ) throws(SearchError) {
    try run(engram_tokenizer_run, text, mode, body)
  }

  /// The same without the short path for ASCII: for the test that both agree.
  func forEachTokenSlowly(
    of text: UnsafeRawBufferPointer, mode: Mode = .text,
    _ body: (Flags, UnsafeRawBufferPointer, Range<Int>) -> Bool
  ) throws(SearchError) {
    try run(engram_tokenizer_run_slowly, text, mode, body)
  }

  private typealias Body = (Flags, UnsafeRawBufferPointer, Range<Int>) -> Bool
  private typealias Run = (
    OpaquePointer?, Int32, UnsafePointer<CChar>?, Int32, UnsafeMutableRawPointer?, engram_token?
  ) -> Int32

  private func run(_ run: Run, _ text: UnsafeRawBufferPointer, _ mode: Mode, _ body: Body) throws(SearchError)
  {
    guard let base = text.baseAddress, text.count > 0 else { return }
    guard let count = Int32(exactly: text.count) else {
      throw SearchError(.operational, operation: "tokenize", message: "\(text.count) bytes of text")
    }
    let code = withoutActuallyEscaping(body) { body in
      var body = body
      return withUnsafeMutablePointer(to: &body) { body in
        run(handle, mode.rawValue, base.assumingMemoryBound(to: CChar.self), count, body) {
          context, flags, token, bytes, start, end in
          // The pointer is the one given just above.
          guard let body = context?.assumingMemoryBound(to: Body.self) else { return 0 }
          let token = UnsafeRawBufferPointer(start: token, count: Int(bytes))
          // 101 is SQLITE_DONE: an end that is no failure.
          return body.pointee(Flags(rawValue: flags), token, Int(start)..<Int(end)) ? 0 : 101
        }
      }
    }
    guard code == 0 else {
      throw SearchError(.operational, operation: "tokenize", message: "SQLite code \(code)")
    }
  }
}
