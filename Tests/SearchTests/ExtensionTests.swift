// The tokenizer as an extension that the sqlite3 command line and Python can load: built by the line that CSearch.h
// gives, it takes texts apart as the server does.

import Glibc
import Search
import Testing

@Suite struct ExtensionTests {
  private static let sources =
    String(#filePath.dropLast("Tests/SearchTests/ExtensionTests.swift".count)) + "Sources/CSearch"

  /// Runs a shell's line and returns what it prints.
  private static func output(of line: String) throws -> String {
    let pipe = try #require(popen(line, "r"))
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = fread(&buffer, 1, buffer.count, pipe)
      if count == 0 { break }
      bytes += buffer[..<count]
    }
    let status = pclose(pipe)
    #expect(status == 0, "\(line): \(status)")
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test func theCommandLineTokenizesAsWeDo() throws {
    var template = Array("/tmp/engram-words.XXXXXX".utf8CString)
    let folder = String(cString: try #require(mkdtemp(&template)))
    defer { _ = try? Self.output(of: "rm -r \(folder)") }
    let build =
      "cc -O2 -fPIC -shared -DENGRAM_EXTENSION -Iinclude -o \(folder)/engram.so tokenizer.c characters.c register.c"
    let header = try Self.output(of: "cat '\(Self.sources)/include/CSearch.h'")
    #expect(header.contains(build.replacing(folder + "/", with: "")), "the line in CSearch.h is another")
    _ = try Self.output(of: "cd '\(Self.sources)' && \(build)")
    let text = "getUserName: C++ /etc/hosts E1234 café 東京タワー สวัสดี 학교 हिन्दी مُحَمَّد 👍🏽 ﬁn"
    let body = "\u{1}c1\u{1}a2\u{2}" + text + "\u{3}next"
    let script = """
      .load \(folder)/engram
      CREATE VIRTUAL TABLE t USING fts5(body, content='', tokenize='engram');
      INSERT INTO t VALUES (CAST(x'\(body.utf8.map { String($0 / 16, radix: 16) + String($0 % 16, radix: 16) }.joined())' AS TEXT));
      CREATE VIRTUAL TABLE v USING fts5vocab(t, 'instance');
      SELECT "offset" || ' ' || hex(term) FROM v ORDER BY "offset", term;
      SELECT count(*) FROM t WHERE t MATCH '"' || char(1) || 'c1" AND "c++"';
      """
    let file = try #require(fopen("\(folder)/script.sql", "w"))
    fputs(script, file)
    fclose(file)
    let theirs = try Self.output(of: "sqlite3 :memory: < \(folder)/script.sql").split(separator: "\n").map(
      String.init)

    var position = -1
    var ours: [(position: Int, token: [UInt8])] = []
    try Array(body.utf8).withUnsafeBytes { bytes in
      try Tokenizer().forEachToken(of: bytes, mode: .body) { flags, token, _ in
        if !flags.contains(.colocated) { position += 1 }
        ours.append((position, Array(token)))
        return true
      }
    }
    ours.sort {
      $0.position == $1.position ? $0.token.lexicographicallyPrecedes($1.token) : $0.position < $1.position
    }
    let lines = ours.map { token in
      let hex = token.token.map { String($0 / 16, radix: 16) + String($0 % 16, radix: 16) }.joined()
        .uppercased()
      return "\(token.position) \(hex)"
    }
    #expect(theirs == lines + ["1"])
  }
}
