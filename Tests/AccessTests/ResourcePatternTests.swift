import Testing

@testable import Access

@Suite struct ResourcePatternTests {
  private func matches(_ pattern: String, _ name: String, agent: String = "me") throws -> Bool {
    guard let matcher = NameMatcher(try ResourcePattern("context/" + pattern), agent: Array(agent.utf8))
    else {
      return false
    }
    return Array(name.utf8).withUnsafeBytes { matcher.matches($0) }
  }

  @Test(arguments: [
    ("a", "a", true), ("a", "b", false), ("a", "a/b", false), ("a", "", false), ("a", "aa", false),
    ("a/b", "a/b", true), ("a/b", "a", false), ("a/b", "a/b/c", false), ("a/b", "b/a", false),
    ("*", "a", true), ("*", "", true), ("*", "a/b", false), ("*", "/", false),
    ("*/*", "a/b", true), ("*/*", "a", false), ("*/*", "a/b/c", false), ("*/*", "/", true),
    ("a/*", "a/", true), ("a/*", "a", false), ("a/*", "a/b", true), ("a/*", "a/b/c", false),
    ("*/b", "a/b", true), ("*/b", "a/c", false), ("*/b", "b", false), ("*/b", "/b", true),
    ("team-*", "team-", true), ("team-*", "team-x", true), ("team-*", "team", false),
    ("team-*", "team-x/y", false), ("team-*", "a-team-x", false),
    ("*-log", "x-log", true), ("*-log", "-log", true), ("*-log", "log", false), ("*-log", "x-log2", false),
    ("a*a", "aa", true), ("a*a", "a", false), ("a*a", "aba", true), ("a*a", "abab", false),
    ("ab*bc", "abc", false), ("ab*bc", "abbc", true),
    ("**", "a", true), ("**", "a/b/c", true), ("**", "", true), ("**", "//", true),
    ("a/**", "a", true), ("a/**", "a/", true), ("a/**", "a/b", true), ("a/**", "a/b/c", true),
    ("a/**", "ab", false), ("a/**", "b/a", false), ("a/**", "", false),
    ("**/z", "z", true), ("**/z", "a/z", true), ("**/z", "a/b/z", true), ("**/z", "z/a", false),
    ("**/z", "az", false), ("**/z", "z/z", true), ("**/z", "a/z/b/z", true),
    ("a/**/z", "a/z", true), ("a/**/z", "a/b/z", true), ("a/**/z", "a/b/c/z", true), ("a/**/z", "a", false),
    ("a/**/z", "a/z/b", false), ("a/**/z", "a/z/z", true), ("a/**/z", "az", false),
    ("**/a/**/b/**", "a/b", true), ("**/a/**/b/**", "x/a/y/b/z", true), ("**/a/**/b/**", "x/b/y/a/z", false),
    ("**/a/b/**", "a/a/b", true), ("**/a/b/**", "a/c/b", false), ("**/**", "a", true),
    ("**/*", "a/b", true), ("**/*/c", "c", false), ("**/*/c", "b/c", true), ("**/x*/**", "a/xy/b", true),
    ("é*", "évé", true), ("a.b", "axb", false), ("[ab]", "a", false), ("a?", "ab", false),
    ("a\\*", "a\\x", true),
  ]) func `a pattern matches what it says, and nothing else`(_ row: (String, String, Bool)) throws {
    let (pattern, name, expected) = row
    #expect(try matches(pattern, name) == expected, "\(pattern) \(name)")
  }

  @Test func `the caller's id stands for itself within one segment`() throws {
    #expect(try matches("{agent}", "me"))
    #expect(try !matches("{agent}", "you"))
    #expect(try matches("home/{agent}/**", "home/me/notes"))
    #expect(try !matches("home/{agent}/**", "home/you/notes"))
    #expect(try matches("{agent}-*", "me-x"))
    #expect(try matches("x-{agent}", "x-me"))
    #expect(try matches("{agent}{agent}", "meme"))
    #expect(try matches("*{agent}", "xme"))
  }

  @Test(arguments: ["*", "**", "a/b", "a/**", "me/", "/", "{agent}", "", "m*", "../a"])
  func `an agent's id gains nothing by how it is spelt`(_ agent: String) throws {
    // Whatever the id looks like, it opens no name of somebody else.
    for name in ["you", "a", "a/b", "a/b/c", "me", "home/you", "home/a/b", "home", "home/"]
    where name != agent {
      for pattern in ["{agent}", "home/{agent}", "home/{agent}/**", "{agent}/**", "{agent}/{agent}"] {
        let isOwn = !agent.isEmpty && !agent.contains("/") && ("home/" + agent == name)
        #expect(try matches(pattern, name, agent: agent) == isOwn, "\(agent) \(pattern) \(name)")
      }
    }
    // One that holds a slash has no segment of its own, not even where the bytes are the same.
    #expect(try matches("{agent}", agent, agent: agent) == (!agent.isEmpty && !agent.contains("/")))
  }

  @Test(arguments: [
    ("a", ResourcePattern.Fault.unknownKind), ("contexts/a", .unknownKind), ("Context/a", .unknownKind),
    ("context", .unknownKind), ("context/", .empty), ("lock/", .empty), ("lock//a", .emptySegment),
    ("context/a//b", .emptySegment), ("context/a/", .emptySegment), ("lock/a**", .deepWithinSegment),
    ("lock/**a", .deepWithinSegment), ("lock/***", .deepWithinSegment), ("lock/a*b*", .severalWildcards),
    ("lock/{agents}", .unknownPlaceholder), ("lock/{agent", .unknownPlaceholder),
    ("lock/}", .unknownPlaceholder),
    ("lock/{}", .unknownPlaceholder), ("lock/a\u{0}", .controlCharacter), ("lock/\u{7f}", .controlCharacter),
  ]) func `what can't be meant is refused`(_ row: (String, ResourcePattern.Fault)) {
    #expect(throws: row.1) { try ResourcePattern(row.0) }
  }

  @Test func `limits hold at their numbers`() throws {
    let long = String(repeating: "a", count: PolicyLimits.patternBytesMax)
    #expect(throws: Never.self) { try ResourcePattern("lock/" + long) }
    #expect(throws: ResourcePattern.Fault.tooLong) { try ResourcePattern("lock/a" + long) }
    let most = Array(repeating: "a", count: PolicyLimits.patternSegmentsMax).joined(separator: "/")
    #expect(throws: Never.self) { try ResourcePattern("lock/" + most) }
    #expect(throws: ResourcePattern.Fault.tooManySegments) { try ResourcePattern("lock/a/" + most) }
  }

  @Test func `a pattern is written as it was read`() throws {
    for text in ["context/a/*/**/x-*", "lock/{agent}", "lock/a{agent}b*{agent}", "context/**"] {
      #expect(try ResourcePattern(text).description == text)
    }
  }

  /// Against a matcher that tries everything, over names and patterns of few letters.
  @Test func `it agrees with one that tries every way`() throws {
    var random = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: 0 ... .max, using: &random)
    print("seed \(seed)")
    var state = seed
    func next(_ count: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(count))
    }
    let segments = ["a", "b", "*", "**", "a*", "*b", "ab", "a*b"]
    let texts = ["a", "b", "ab", "", "aab", "ba"]
    var matched = 0
    for _ in 0..<20_000 {
      let pattern = (0...next(5)).map { _ in segments[next(segments.count)] }
      let name = (0...next(5)).map { _ in texts[next(texts.count)] }
      let expected = naive(pattern[...], name[...])
      let got = try matches(pattern.joined(separator: "/"), name.joined(separator: "/"))
      if expected { matched += 1 }
      #expect(got == expected, "\(pattern) \(name)")
    }
    #expect(matched > 1000)
  }

  private func naive(_ pattern: ArraySlice<String>, _ name: ArraySlice<String>) -> Bool {
    guard let first = pattern.first else { return name.isEmpty }
    if first == "**" {
      return (0...name.count).contains { naive(pattern.dropFirst(), name.dropFirst($0)) }
    }
    guard let head = name.first else { return false }
    let parts = first.split(separator: "*", omittingEmptySubsequences: false)
    let fits =
      parts.count == 1
      ? first == head
      : head.count >= first.count - 1 && head.hasPrefix(parts[0]) && head.hasSuffix(parts[1])
    return fits && naive(pattern.dropFirst(), name.dropFirst())
  }

  @Test func `a hostile name costs no more than its length`() throws {
    // A matcher that goes back to every ** would take 10^15 steps here.
    let pattern = Array(repeating: "**/a", count: PolicyLimits.patternSegmentsMax / 2).joined(separator: "/")
    let name = Array(repeating: "a", count: 512).dropLast(1).joined(separator: "/") + "/b"
    let clock = ContinuousClock()
    var found = false
    let took = try clock.measure {
      for _ in 0..<100 where try matches(pattern, name) { found = true }
    }
    #expect(!found)
    #expect(took < .seconds(2))
  }
}
