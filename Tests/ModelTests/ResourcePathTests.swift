import Bytes
import Testing

@testable import Model

@Suite struct ResourcePathTests {
  private func canonical(_ path: [UInt8]) -> Result<String, ResourcePath.Fault> {
    Body(path).withBytes { bytes in
      do throws(ResourcePath.Fault) {
        return .success(String(decoding: try ResourcePath.canonical(bytes), as: UTF8.self))
      } catch {
        return .failure(error)
      }
    }
  }

  @Test(arguments: [
    ("a", "a"), ("/a", "a"), ("a/b/c.swift", "a/b/c.swift"), ("/a/b", "a/b"), ("a b", "a b"), ("...", "..."),
    ("a/.b/..c", "a/.b/..c"), ("é/中", "é/中"), ("%2F", "%2F"),
  ])
  func twoSpellingsAreOnePath(_ path: String, _ result: String) {
    #expect(canonical(bytes(path)) == .success(result))
  }

  @Test(
    arguments: [
      ("", .empty), ("/", .empty), ("//", .emptySegment), ("//a", .emptySegment), ("a//b", .emptySegment),
      ("a/", .emptySegment), ("/a/", .emptySegment), (".", .dotSegment), ("..", .dotSegment),
      ("a/./b", .dotSegment),
      ("a/..", .dotSegment), ("/../a", .dotSegment), ("a\nb", .controlCharacter),
      ("a\u{7F}", .controlCharacter),
      ("a\u{85}", .controlCharacter), ("\0", .controlCharacter),
    ] as [(String, ResourcePath.Fault)])
  func orAnError(_ path: String, _ fault: ResourcePath.Fault) {
    #expect(canonical(bytes(path)) == .failure(fault))
  }

  @Test func limits() {
    let longest = [UInt8](repeating: UInt8(ascii: "x"), count: 1024)
    #expect(canonical(longest) == .success(String(decoding: longest, as: UTF8.self)))
    #expect(canonical([UInt8(ascii: "/")] + longest) == .success(String(decoding: longest, as: UTF8.self)))
    #expect(canonical(longest + [0x78]) == .failure(.tooLong))
    #expect(canonical([0x61, 0xFF]) == .failure(.invalidUTF8))
  }
}
