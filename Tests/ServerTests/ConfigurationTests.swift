import Testing

@testable import Server

@Suite struct ConfigurationTests {
  @Test(
    arguments: [
      ("127.0.0.1:8080", "127.0.0.1", 8080), ("127.0.0.1:0", "127.0.0.1", 0),
      ("0.0.0.0:65535", "0.0.0.0", 65535),
      ("localhost:80", "127.0.0.1", 80), ("[::1]:8080", "::1", 8080), ("[::]:1", "::", 1),
    ] as [(String, String, UInt16)])
  func listens(text: String, address: String, port: UInt16) throws {
    let parsed = try #require(Configuration.parseListen(text))
    #expect(parsed.address == address)
    #expect(parsed.port == port)
  }

  @Test(arguments: [
    "", ":", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:65536",
    "127.0.0.1: 80", "::1:8080", "::1", "[::1]", "[::1]:", "[]:80", "[127.0.0.1]:80",
  ])
  func refuses(text: String) { #expect(Configuration.parseListen(text) == nil) }

  @Test(arguments: ["127.0.0.1:8080", "[::1]:8080"])
  func `listen says what was parsed`(text: String) throws {
    var configuration = Configuration()
    (configuration.address, configuration.port) = try #require(Configuration.parseListen(text))
    #expect(configuration.listen == text)
    #expect(configuration.isLoopback)
  }

  @Test(arguments: [
    ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("0:0:0:0:0:0:0:1", true), ("0.0.0.0", false),
    ("::", false), ("10.0.0.1", false), ("1127.0.0.1", false), ("", false), ("::ffff:127.0.0.1", false),
  ])
  func loopback(address: String, isLoopback: Bool) {
    var configuration = Configuration()
    configuration.address = address
    #expect(configuration.isLoopback == isLoopback)
  }
}
