import Settings
import Testing

@testable import Server

@Suite struct ConfigurationTests {
  @Test(arguments: ["127.0.0.1:8080", "[::1]:8080"])
  func `listen says what was parsed`(text: String) throws {
    let parsed = try #require(ListenAddress(text))
    var configuration = Configuration()
    (configuration.address, configuration.port) = (parsed.address, parsed.port)
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

  private func connections(_ environment: [String: String]) throws -> ConnectionLimits {
    ConnectionLimits(try SettingsSource(config: nil, flags: [:], environment: environment).load())
  }

  @Test func zeroBytesOfAnswersAreNoLimit() throws {
    #expect(try connections([:]).answerBytesMax == ConnectionLimits().answerBytesMax)
    #expect(try connections(["ENGRAM_LIMITS_ANSWER_BYTES_MAX": "1"]).answerBytesMax == 1)
    #expect(try connections(["ENGRAM_LIMITS_ANSWER_BYTES_MAX": "0"]).answerBytesMax == .max)
  }
}
