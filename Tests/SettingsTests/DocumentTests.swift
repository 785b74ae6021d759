import Testing

@testable import Settings

@Suite struct DocumentTests {
  @Test func tomlIsOfItsFirstVersion() { #expect(tomlVersion == "1.0.0") }

  @Test func everythingKnowsItsLine() throws {
    let text = """
      # a comment
      top = "1"

      [server]
      'quoted key' = [
        1,
        "two", # three
        [true],
      ]
      inline = {a = 1, b.c = 1.5}
      [[policy]]
      [[policy]]
      when = 1979-05-27T07:32:00Z
      """
    let document = try Document(Array(text.utf8))
    #expect(document.nodes.map(\.key) == ["top", "server", "policy"])
    #expect(document.nodes.map(\.line) == [2, 4, 11])
    guard case .table(let server) = document.nodes[1].content,
      case .array(let rules) = document.nodes[2].content
    else { throw Mismatch() }
    #expect(server.map(\.key) == ["quoted key", "inline"])
    #expect(server.map(\.line) == [5, 10])
    guard case .array(let elements) = server[0].content, case .table(let inline) = server[1].content,
      case .table(let last) = rules[1].content
    else { throw Mismatch() }
    #expect(elements.map(\.line) == [6, 7, 8])
    guard case .integer(1) = elements[0].content, case .text("two") = elements[1].content,
      case .array(let nested) = elements[2].content, case .flag(true) = nested[0].content,
      case .table(let dotted) = inline[1].content, case .real = dotted[0].content,
      case .time = last[0].content
    else { throw Mismatch() }
    #expect(rules.map(\.line) == [11, 12])
    #expect(last[0].line == 13)
  }

  private struct Mismatch: Error {}

  @Test(arguments: [
    ("a = 1\na = 2", 2), ("[a]\n[b]\n[a]", 3), ("a = 1\n[a]", 2), ("a.b = 1\na.b.c = 2", 2), ("\n\na = ", 3),
    ("a = \"\n", 1), ("a = \"\"\"\n\n", 1), ("a", 1), ("= 1", 1), ("a = 01", 1),
    ("a = 9223372036854775808", 1),
    ("a = [1", 1), ("a = {b = 1", 1), ("a = \"\\x\"", 1), ("a = 1 b = 2", 1), ("[a", 1), ("a = nul", 1),
    ("a = \"\u{0}\"", 1), ("[[a]]\n[a]", 2), ("a = 'x\n'", 1),
  ])
  func `what is no TOML is refused with its line`(text: String, line: Int) {
    do throws(Document.Fault) {
      _ = try Document(Array(text.utf8))
      Issue.record("taken")
    } catch {
      // An end that doesn't come is found at the end of the text.
      #expect(error.line >= line)
      #expect(error.column >= 1)
      #expect(!error.cause.isEmpty)
    }
  }

  @Test func bytesThatAreNoTextAreRefused() {
    for bytes: [UInt8] in [[0x61, 0x3d, 0x22, 0xff, 0x22], [0xfe, 0xff], [0xed, 0xa0, 0x80], [0]] {
      #expect(throws: Document.Fault.self) { _ = try Document(bytes) }
    }
  }

  @Test func aMarkAndLineEndsOfWindowsAreFine() throws {
    let document = try Document([0xef, 0xbb, 0xbf] + Array("a = 1\r\nb = 2\r\n".utf8))
    #expect(document.nodes.map(\.line) == [1, 2])
    #expect(try Document([]).nodes.isEmpty)
  }

  // MARK: Depth

  /// Recursion is as deep as the text says, unless somebody counts.
  @Test(arguments: ["a = ", "a.b = 1\nx = ", "[s]\nx = "])
  func `nesting has an end`(head: String) {
    for count in [17, 1000, 500_000] {
      for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = head + String(repeating: open, count: count) + "1" + String(repeating: close, count: count)
        #expect(throws: Document.Fault.self) { _ = try Document(Array(text.utf8)) }
      }
    }
  }

  @Test(arguments: [17, 1000, 500_000])
  func `dotted keys have an end`(parts: Int) {
    let key = String(repeating: "a.", count: parts - 1) + "a"
    for text in [
      "\(key) = 1", "[\(key)]", "[[\(key)]]", "x = {\(key) = 1}", "x = {y = 1, \(key) = 1}",
      "s = '.'\n\(key) = 1",
      "s = \"\"\"\n\\\"\"\"\"\n\(key) = 1", "s = '''\n'''''\n\(key) = 1", "# '''\n\(key) = 1",
      key.split(separator: ".").joined(separator: " . ") + " = 1",
    ] {
      do throws(Document.Fault) {
        _ = try Document(Array(text.utf8))
        Issue.record("taken: \(text.prefix(40))")
      } catch {
        #expect(error.cause == "a key of more than 16 parts", "\(text.prefix(40))")
      }
    }
  }

  @Test func dotsInTextsAreNoParts() throws {
    let dots = String(repeating: ".", count: 100)
    for text in [
      "a = \"\(dots)\"", "a = '\(dots)'", "a = \"\"\"\n\(dots)\n\"\"\"", "a = '''\n\(dots)'\n'''",
      "# \(dots)",
      "a = \"\\\"\(dots)\"", "\"\(dots)\" = 1", "a = \"\"\"\(dots)\"\"\"\"\"\nb = 1.5",
      "a = [1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]",
    ] {
      #expect(throws: Never.self, "\(text)") { _ = try Document(Array(text.utf8)) }
    }
  }

  /// Cut anywhere, a file is taken or refused; nothing traps.
  @Test func cutAnywhere() {
    let whole = Array((safe + "[[policy]]\nroles = ['''a''']\nverbs = [\"search\"] # \"\n").utf8)
    for end in 0...whole.count {
      _ = try? Document(Array(whole[..<end]))
      for byte: UInt8 in [0, 0x0a, 0x22, 0x27, 0x2e, 0x5b, 0x5c, 0x80, 0xff] where end < whole.count {
        var flipped = whole
        flipped[end] = byte
        _ = try? Document(flipped)
      }
    }
  }

  @Test func aFileOfManyKeysIsReadInTime() throws {
    let text = (0..<60_000).map { "k\($0)=1\n" }.joined()
    #expect(try Document(Array(text.utf8)).nodes.count == 60_000)
  }
}
