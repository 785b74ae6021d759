// What a reader may rely on in every file: small, no traps by exclamation mark, nothing put off.

import Testing

private let sourceLinesMax = 400
private let testLinesMax = 600

/// Spellings that have no place in `Sources`, and why. `inComments` ones count there too.
private let banned: [(word: String, inComments: Bool, reason: String)] = [
  ("try!", false, "a failure that a peer may cause must not stop the fleet"),
  ("as!", false, "a cast that fails must not stop the fleet"),
  ("TODO", true, "finish it, or open an issue"),
  ("FIXME", true, "fix it, or open an issue"),
]

/// The banned words of one line.
private func offences(in line: String) -> [String] {
  banned.filter { rule in contains(rule.inComments ? line[...] : SourceFile.code(of: line), word: rule.word) }
    .map { "\($0.word): \($0.reason)" }
}

/// Whether the text has the word with no letter, digit or underscore in front of it (`was!` is no `as!`).
private func contains(_ text: Substring, word: String) -> Bool {
  text.ranges(of: word).contains { found in
    guard found.lowerBound > text.startIndex else { return true }
    let before = text[text.index(before: found.lowerBound)]
    return !before.isLetter && !before.isNumber && before != "_"
  }
}

/// Whether a file may be as long as it is: short enough, or its header comment says why it is longer.
private func isTooLong(_ file: SourceFile, max: Int) -> Bool {
  file.lines.count > max && !file.header.lowercased().contains("longer")
}

@Suite struct HouseRulesTests {
  @Test func sourcesAreShort() {
    for ending in [".swift", ".c", ".h"] {
      for folder in ["Sources", "CIOUring"] {
        for file in SourceTree.files(in: folder, ending: ending) where isTooLong(file, max: sourceLinesMax) {
          Issue.record(
            "\(file.path) has \(file.lines.count) lines: split it, or say in its header why it is longer")
        }
      }
    }
  }

  @Test func testsAreShort() {
    let files = SourceTree.files(in: "Tests")
    #expect(files.contains { $0.path.hasSuffix("HouseRulesTests.swift") }, "this very file was not found")
    for file in files where isTooLong(file, max: testLinesMax) {
      Issue.record(
        "\(file.path) has \(file.lines.count) lines: split it, or say in its header why it is longer")
    }
  }

  @Test func nothingForcedAndNothingPutOff() {
    for file in SourceTree.files(in: "Sources") {
      for (index, line) in file.lines.enumerated() {
        for offence in offences(in: line) { Issue.record("\(file.path):\(index + 1): \(offence)") }
      }
    }
  }

  @Test(arguments: [
    "let x = try! read()", "(a as! B)", "// TODO: later", "/* FIXME */", "x();try! y() // fine",
  ])
  func finds(line: String) {
    #expect(!offences(in: line).isEmpty)
  }

  @Test(arguments: [
    "let x = try read()", "a as? B", "// No `try!` here", "it was!", "let hasTODOs = 1 // methodTODO",
  ])
  func leaves(line: String) {
    #expect(offences(in: line).isEmpty)
  }

  @Test func aLongFileMaySayWhy() {
    let long = [String](repeating: "let x = 1", count: 500)
    #expect(isTooLong(SourceFile(path: "Sources/A/B.swift", lines: ["// A table."] + long), max: 400))
    let reason = "// Longer than others: the decision table reads as one."
    #expect(!isTooLong(SourceFile(path: "Sources/A/B.swift", lines: [reason] + long), max: 400))
  }
}
