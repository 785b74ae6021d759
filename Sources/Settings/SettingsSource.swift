/// Where the settings of a process come from: read at start, and again at each reload.
public struct SettingsSource: Sendable {
  /// Names the configuration file where no flag does.
  static let fileVariable = "ENGRAM_CONFIG"

  private let flags: [String: String]
  private let environment: [String: String]
  /// The configuration file; nil: there is none.
  public let path: String?

  /// - Parameters:
  ///   - config: the file, as the command line names it.
  ///   - flags: values by the flag's name without dashes; `true` for one that takes none.
  public init(config: String?, flags: [String: String], environment: [String: String]) {
    self.flags = flags
    self.environment = environment
    path = config ?? environment[SettingsSource.fileVariable].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Reads the file and everything else. Blocks; any thread but a loop's.
  public func load() throws(SettingsFailure) -> Settings {
    var file: CheckedFile?
    if let path {
      do throws(FileFault) {
        file = try CheckedFile.read(path, bytesMax: SettingsLimits.fileBytesMax)
        try file?.requireUnchangeable()
      } catch {
        throw SettingsFailure([SettingFault(.file(path: error.path, line: 0), error.cause)])
      }
    }
    return try Settings.resolve(file: file, environment: environment, flags: flags) {
      path throws(FileFault) in
      try CheckedFile.readPrivate(path, bytesMax: SettingsLimits.secretBytesMax).bytes
    }
  }
}

extension Settings {
  /// Flag over environment over file over default. Pure but for `secretFile`.
  /// - Throws: everything that is wrong, in one failure.
  static func resolve(
    file: CheckedFile?, environment: [String: String] = [:], flags: [String: String] = [:],
    secretFile: @escaping (String) throws(FileFault) -> [UInt8]
  ) throws(SettingsFailure) -> Settings {
    var resolution = Resolution(secretFile: secretFile)
    if let file { resolution.add(file: file) }
    resolution.add(environment: environment)
    resolution.add(flags: flags)
    // What contradicts can only be told of values that are sound.
    guard resolution.faults.isEmpty else { throw SettingsFailure(resolution.faults) }
    var settings = resolution.settings
    settings.derive()
    let contradictions = Contradictions.find(in: settings)
    guard contradictions.isEmpty else { throw SettingsFailure(contradictions, areContradictions: true) }
    settings.warnings += Contradictions.doubts(about: settings)
    return settings
  }

  /// Defaults that hang on what was set.
  private mutating func derive() {
    let all = self[Schema.inflightBytesMax]
    for (key, part) in Schema.inflightParts where !isGiven(key) {
      // A body of the largest size is taken from anybody.
      let share = max(all / part, Schema.inflightBytesMin)
      values[key.path] = Setting(value: .integer(share), origin: .standard)
    }
  }
}
