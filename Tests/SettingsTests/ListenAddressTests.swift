import Settings
import Testing

@Suite struct ListenAddressTests {
  @Test(
    arguments: [
      ("127.0.0.1:8080", "127.0.0.1", 8080), ("127.0.0.1:0", "127.0.0.1", 0),
      ("0.0.0.0:65535", "0.0.0.0", 65535),
      ("localhost:80", "127.0.0.1", 80), ("[::1]:8080", "::1", 8080), ("[::]:1", "::", 1),
    ] as [(String, String, UInt16)])
  func listens(text: String, address: String, port: UInt16) throws {
    let parsed = try #require(ListenAddress(text))
    #expect(parsed.address == address)
    #expect(parsed.port == port)
  }

  @Test(arguments: [
    "", ":", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:65536",
    "127.0.0.1: 80", "::1:8080", "::1", "[::1]", "[::1]:", "[]:80", "[127.0.0.1]:80",
  ])
  func refuses(text: String) { #expect(ListenAddress(text) == nil) }
}
