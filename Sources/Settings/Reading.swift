/// Makes values of what stands in a file, in the environment or on the command line. Pure.
enum Reading {
  /// What is wrong with a value, without saying it: it may be a secret.
  struct Refusal: Error {
    var cause: String
    init(_ cause: String) { self.cause = cause }
  }

  /// The value of a TOML node.
  static func value(_ content: Document.Content, _ entry: Entry) throws(Refusal) -> Value {
    switch (entry.shape, content) {
    case (.text, .text(let text)), (.path, .text(let text)), (.choice, .text(let text)):
      return .text(try checked(text, entry))
    case (.flag, .flag(let flag)): return .flag(flag)
    case (.integer(let range), .integer(let number)): return .integer(try checked(number, range))
    case (.list, .text(let text)): return .list(try checked([text], entry))
    case (.list, .array(let nodes)):
      var texts: [String] = []
      for node in nodes {
        guard case .text(let text) = node.content else {
          throw Refusal("expected texts in the array, not \(node.content.name)")
        }
        texts.append(text)
      }
      return .list(try checked(texts, entry))
    default: throw Refusal("expected \(entry.shape.name), not \(content.name)")
    }
  }

  /// The value of a variable or of a flag.
  static func value(_ text: String, _ entry: Entry) throws(Refusal) -> Value {
    switch entry.shape {
    case .text, .path, .choice: return .text(try checked(text, entry))
    case .flag:
      // To the letter, as in the file: of `yes` or `TRUE` somebody would have to guess, and it may switch a protection off.
      guard let flag = Bool(text) else { throw Refusal("expected \(entry.shape.name)") }
      return .flag(flag != (entry.flag?.isInverted ?? false))
    case .integer(let range):
      guard let number = Int(text) else { throw Refusal("expected \(entry.shape.name)") }
      return .integer(try checked(number, range))
    case .list:
      let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { part in
        String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
      }
      return .list(try checked(parts, entry))
    }
  }

  private static func checked(_ number: Int, _ range: ClosedRange<Int>) throws(Refusal) -> Int {
    guard range.contains(number) else {
      throw Refusal("\(number) is out of range: expected \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  private static func checked(_ text: String, _ entry: Entry) throws(Refusal) -> String {
    if let cause = fault(of: text) { throw Refusal(cause) }
    if case .choice(let choices) = entry.shape, !choices.contains(text) {
      throw Refusal("expected \(Words.list(choices))")
    }
    if let cause = entry.check?(text) { throw Refusal(cause) }
    return text
  }

  static func checked(_ texts: [String], _ entry: Entry) throws(Refusal) -> [String] {
    guard texts.count <= SettingsLimits.listMax else {
      throw Refusal("more than \(SettingsLimits.listMax) elements")
    }
    var seen: Set<String> = []
    for text in texts {
      _ = try checked(text, entry)
      if case .list(let choices?) = entry.shape, !choices.contains(text) {
        throw Refusal("expected of each element \(Words.list(choices))")
      }
      guard seen.insert(text).inserted else { throw Refusal("the same element twice") }
    }
    return texts
  }

  /// What is wrong with a text, whatever it is for.
  private static func fault(of text: String) -> String? {
    if text.isEmpty { return "an empty text" }
    if text.utf8.count > SettingsLimits.textBytesMax {
      return "longer than \(SettingsLimits.textBytesMax) bytes"
    }
    return text.utf8.contains { $0 < 0x20 || $0 == 0x7f } ? "a control character in the text" : nil
  }
}

extension Shape {
  /// What people call it.
  var name: String {
    switch self {
    case .text: "a text"
    case .path: "a path"
    case .flag: "true or false"
    case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
    case .choice(let choices): Words.list(choices)
    case .list(nil): "an array of texts"
    case .list(let choices?): "an array of \(Words.list(choices))"
    }
  }
}

/// How lists and misspelt names are told.
enum Words {
  /// `"a", "b" or "c"`.
  static func list(_ words: [String]) -> String {
    let quoted = words.map { "\"\($0)\"" }
    guard let last = quoted.last, quoted.count > 1 else { return quoted.first ?? "" }
    return quoted.dropLast().joined(separator: ", ") + " or \(last)"
  }

  /// The candidate that somebody may have meant: a third of its letters are wrong at most. Nil: none is near.
  static func nearest(_ word: String, in candidates: [String]) -> String? {
    guard word.utf8.count <= 64 else { return nil }
    let scored = candidates.map { (distance(word, $0), $0) }
    guard let best = scored.min(by: { $0.0 < $1.0 }), best.0 <= max(2, best.1.utf8.count / 3) else {
      return nil
    }
    return best.0 < best.1.utf8.count ? best.1 : nil
  }

  /// Edits between two words (Levenshtein).
  static func distance(_ left: String, _ right: String) -> Int {
    let (left, right) = (Array(left.utf8), Array(right.utf8))
    var row = Array(0...right.count)
    for (line, byte) in left.enumerated() {
      var diagonal = row[0]
      row[0] = line + 1
      for column in right.indices {
        let replaced = diagonal + (byte == right[column] ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
      }
    }
    return row[right.count]
  }

  /// A key of a file, for a message: short, and without what could forge a line.
  static func shown(_ key: String, max: Int = 64) -> String {
    let clean = key.unicodeScalars.prefix(max).map { $0.value < 0x20 || $0.value == 0x7f ? "?" : String($0) }
    return clean.joined()
  }
}
