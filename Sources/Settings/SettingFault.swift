internal import Glibc

/// What is wrong with one setting, and where it stands.
public struct SettingFault: Hashable, Sendable, CustomStringConvertible {
  public var origin: Origin
  /// Never the value of a secret.
  public var cause: String

  public init(_ origin: Origin, _ cause: String) {
    self.origin = origin
    self.cause = cause
  }

  public var description: String { "\(origin.place): \(cause)" }
}

/// Why settings are refused: all that was found, as it stands in the file, then environment, then flags.
public struct SettingsFailure: Error, CustomStringConvertible {
  /// Faults that are told; a file of noise has thousands.
  static let shownMax = 20

  public let faults: [SettingFault]
  /// EX_USAGE when only the command line can't be read, else EX_CONFIG (sysexits.h).
  public let exitCode: Int32

  /// - Parameter areContradictions: each value is sound by itself, whoever gave it.
  public init(_ faults: [SettingFault], areContradictions: Bool = false) {
    let onlyFlags = faults.allSatisfy { fault in
      if case .flag = fault.origin { true } else { false }
    }
    exitCode = onlyFlags && !areContradictions ? EX_USAGE : EX_CONFIG
    self.faults = faults.enumerated().sorted { left, right in
      let (first, second) = (SettingsFailure.rank(left.element), SettingsFailure.rank(right.element))
      return first != second ? first < second : left.offset < right.offset
    }.map(\.element)
  }

  private static func rank(_ fault: SettingFault) -> Int {
    switch fault.origin {
    case .standard: -1
    case .file(_, let line): line
    case .environment: Int.max - 1
    case .flag: Int.max
    }
  }

  /// One line for each fault.
  public var lines: [String] {
    let shown = faults.prefix(SettingsFailure.shownMax).map(\.description)
    return faults.count > shown.count ? shown + ["and \(faults.count - shown.count) more"] : shown
  }

  public var description: String { lines.joined(separator: "\n") }
}
