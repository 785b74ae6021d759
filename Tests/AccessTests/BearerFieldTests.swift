import Access
import Testing

@Suite struct BearerFieldTests {
  private func read(_ value: [UInt8]) -> Result<String, AuthenticationFailure> {
    value.withUnsafeBytes { value in
      do throws(AuthenticationFailure) {
        return .success(String(decoding: try BearerField.credential(value), as: UTF8.self))
      } catch {
        return .failure(error)
      }
    }
  }

  @Test(arguments: [
    ("Bearer abc", "abc"), ("bearer abc", "abc"), ("BEARER   a.b.c", "a.b.c"),
    ("Bearer a-._~+/9==", "a-._~+/9=="),
  ])
  func reads(value: String, credential: String) { #expect(read(Array(value.utf8)) == .success(credential)) }

  @Test(arguments: [
    "", "Bearer", "Bearer ", "Bearer    ", "Basic YTpi", "Bearerabc", "Bearer\tabc", "Bearer a b",
    "Bearer a,b",
    "Bearer a, Bearer b", "Bearer =", "Bearer a=b", "Bearer \"a\"", "Bearer a;", "Token abc", "Bearer: abc",
    " Bearer a",
    "Bearer a ", "Bearer a\u{0}", "Bearer ä", "Digest username=\"a\"", "2earer abc", "Bearer%20abc",
    "bea\u{52}er\u{0}x",
  ])
  func refuses(value: String) { #expect(read(Array(value.utf8)) == .failure(.malformedField)) }

  @Test func refusesWhatIsTooLong() {
    let longest = String(repeating: "a", count: CredentialLimits.jwtBytesMax)
    #expect(read(Array("Bearer \(longest)".utf8)) == .success(longest))
    #expect(read(Array("Bearer \(longest)a".utf8)) == .failure(.oversize))
  }

  @Test func everyByteIsTakenOrNotByTheGrammar() {
    let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/".utf8)
    for byte in UInt8.min...UInt8.max {
      let isRead = (try? read(Array("Bearer x".utf8) + [byte, 0x78]).get()) != nil
      #expect(isRead == allowed.contains(byte), "\(byte)")
    }
  }
}
