/// Limits of policies. They bound what one decision costs; a file that exceeds one is refused at start.
public enum PolicyLimits {
  /// Rules of one policy.
  public static let rulesMax = 1024
  /// Roles, agents or resources that one rule lists, each.
  public static let namesMax = 256
  /// Bytes of a resource's pattern, without `context/` or `lock/`: no context's id is longer, and few paths are.
  public static let patternBytesMax = 512
  /// Segments of a pattern: a decision compares at most so many with each segment of a name.
  public static let patternSegmentsMax = 32
  /// Sets of permissions that are remembered, by agent and roles; beyond it all are forgotten, and made again when
  /// they are asked for.
  public static let permissionsKept = 10_000
}
