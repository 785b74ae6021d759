/// Limits of what is read to configure the server. All are refused at start and at a reload (exit 78), with their names.
public enum SettingsLimits {
  /// A configuration file has a few kilobytes; what is larger is another file.
  public static let fileBytesMax = 1 << 20
  /// A variable of the environment, and a file that one names: a secret is short.
  public static let secretBytesMax = 64 << 10
  /// A text, an element of a list: a path is shorter (PATH_MAX).
  public static let textBytesMax = 4096
  /// Elements of a list.
  public static let listMax = 256
  /// Rules of a policy. They are matched one after the other.
  public static let policiesMax = 1024
  /// Parts of a dotted key: toml++ descends once for each.
  public static let keyPartsMax = 16
}
