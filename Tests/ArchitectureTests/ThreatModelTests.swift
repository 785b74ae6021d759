// What the threat model names is there: files, limits, keys and fuzz targets. Whether it is right, no test can tell.

import Testing

private let page = "Sources/API/ThreatModel.md"

/// What stands between back quotes.
private func quoted(in lines: [String]) -> [String] {
  lines.flatMap { line in
    line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
      .filter { $0.offset % 2 == 1 }.map { String($0.element) }
  }
}

private func isLimit(_ name: String) -> Bool {
  name.hasSuffix("Max") && name.allSatisfy { $0.isLetter || $0.isNumber }
}

/// `section.key`, as the configuration has it.
private func isKey(_ name: String) -> Bool {
  let sections = ["server", "tls", "auth", "limits", "browser", "audit"]
  let parts = name.split(separator: ".")
  return parts.count == 2 && sections.contains(String(parts[0]))
    && parts[1].allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" }
}

@Suite struct ThreatModelTests {
  private static let names = quoted(in: SourceTree.lines(of: page))

  @Test func filesAreThere() {
    let files = Self.names.filter { $0.hasPrefix("Tests/") || $0.hasPrefix("Sources/") }
    #expect(files.count > 8, "the page names no tests")
    for file in files { #expect(!SourceTree.lines(of: file).isEmpty, "\(file) is not there") }
  }

  @Test func limitsAreThere() {
    let limits = Self.names.filter(isLimit)
    #expect(limits.count > 20, "the page names no limits")
    let source = SourceTree.lines(of: "Sources/Model/Limits.swift").joined(separator: "\n")
    for limit in limits { #expect(source.contains("let \(limit)"), "there is no limit \(limit)") }
  }

  @Test func keysAreThere() {
    let keys = Self.names.filter(isKey)
    #expect(keys.count > 12, "the page names no keys")
    let schema = SourceTree.files(in: "Sources/Settings").flatMap(\.lines).joined(separator: "\n")
    for key in keys {
      // Times are declared without their unit, rates and caps without their section.
      let name = key.split(separator: ".")[1]
      let stem = ["_per_second", "_seconds"].first { name.hasSuffix($0) }.map { name.dropLast($0.count) }
      #expect(
        schema.contains("\"\(key)\"") || schema.contains("\"\(name)\"")
          || stem.map { schema.contains("\"\($0)\"") } ?? false,
        "there is no key \(key)")
    }
  }

  /// And each target that there is has a row in the page of the fuzzers.
  @Test func fuzzTargetsAreThere() {
    let source = SourceTree.lines(of: "Fuzz/Sources/fuzz/Target.swift").joined(separator: "\n")
    for target in ["http-head", "chunked-body", "jwt", "lock-path", "toml-policy"] {
      #expect(Self.names.contains(target) && source.contains("\"\(target)\""), "there is no target \(target)")
    }
  }

  @Test(arguments: [
    ("headBytesMax", true), ("max", false), ("limits.idle_seconds", false), ("A.bMax", false),
  ])
  func tellsLimits(name: String, isOne: Bool) { #expect(isLimit(name) == isOne) }

  @Test(arguments: [
    ("limits.idle_seconds", true), ("tls.key", true), ("Gate.swift", false), ("browser", false),
    ("a.b", false),
  ])
  func tellsKeys(name: String, isOne: Bool) { #expect(isKey(name) == isOne) }
}
