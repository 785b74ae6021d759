internal import Bytes

/// Tokens as `engram token create` makes them: 256 random bits behind a prefix by which leaks are found.
public enum NewToken {
  public static let prefix = "engram_"

  /// Nil where the system has no random bits.
  public static func make() -> String? {
    SecureRandom.bytes(32).map { bytes in
      prefix + String(decoding: bytes.withUnsafeBytes { Base64.encodeURL($0) }, as: UTF8.self)
    }
  }
}
