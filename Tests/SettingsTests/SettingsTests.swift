import Settings
import Testing

@Suite struct SettingsTests {
  @Test func tomlIsOfItsFirstVersion() { #expect(tomlVersion == "1.0.0") }
}
