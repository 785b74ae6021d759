internal import API
internal import Access
internal import Engine
internal import EventLoop
internal import Glibc
internal import Logging
internal import Settings

// A reload: everything is read and made ready on the main thread before anything is touched, so that a bad file changes
// nothing; then each loop gets what is new by a message.
extension Server {
  /// Why the settings that a reload has read aren't taken.
  private struct Refusal: Error {
    var lines: [String]
  }

  /// Reads the settings again, and takes what can be changed while the server runs. Main thread; blocks on files only.
  func reload(_ source: SettingsSource) {
    do throws(Refusal) {
      try take(source)
      audit.record(AuditEvent(.reload, .success))
    } catch {
      var event = AuditEvent(.reload, .failure)
      event.reason = "refused"
      audit.record(event)
      for line in error.lines { logger.error("reload refused, everything stays as it was: \(line)") }
    }
  }

  private func take(_ source: SettingsSource) throws(Refusal) {
    let new: Settings
    let next: Configuration
    do throws(SettingsFailure) {
      new = try source.load()
      if let fault = Server.switches(from: settings, to: new) { throw SettingsFailure([fault]) }
      next = try Configuration(
        new, version: configuration.version, generation: generation + 1, succeeding: door.context)
    } catch {
      throw Refusal(lines: error.lines)
    }
    generation += 1
    adopt(next)
    for warning in next.settings.warnings { logger.warning("\(warning)") }
    for key in new.needingRestart(comparedWith: configuration.settings) {
      logger.warning("\(key) has changed, and takes effect after a restart")
    }
    let changes = new.changes(comparedWith: settings)
    settings = new
    logger.notice(
      "reloaded", metadata: ["changed": "\(changes.isEmpty ? "files only" : changes.joined(separator: " "))"])
  }

  /// The port stays open as it is: what it asks of a caller is neither added nor dropped under those who are there.
  private static func switches(from old: Settings, to new: Settings) -> SettingFault? {
    if old.isTLSOn != new.isTLSOn {
      return SettingFault(new.origin(of: Schema.certificate), "TLS is turned on and off by a restart only")
    }
    if old.isAuthenticationOn != new.isAuthenticationOn {
      return SettingFault(
        new.origin(of: Schema.providers), "authentication is turned on and off by a restart only")
    }
    return nil
  }

  /// In microseconds.
  static func ticketLifetime(_ settings: Settings) -> UInt64 {
    UInt64(settings[Schema.ticketSeconds]) * 1_000_000
  }

  /// Hands what is new to the loops.
  private func adopt(_ next: Configuration) {
    setAccess(next.access)
    tickets.change(lifetime: Server.ticketLifetime(next.settings))
    if let tls = next.tls { adopt(tls) }
    adoptLimits(next)
  }

  /// Refuses to listen where others are without what protects it from them, and says so loudly if it was told to.
  static func checkExposure(_ configuration: Configuration, _ logger: Logger) throws(ServerFailure) {
    let missing = configuration.settings.missingSafety
    guard !configuration.isLoopback, !missing.isEmpty else { return }
    let off = missing.joined(separator: " and ")
    guard configuration.isInsecure else {
      throw ServerFailure(
        EX_CONFIG,
        "refusing to listen on \(configuration.listen): without \(off) only a loopback address is served")
    }
    let danger = missing.contains("authentication") ? "read and write everything" : "read what is on the wire"
    logger.warning(
      "INSECURE: listening on \(configuration.listen) without \(off): whoever reaches it can \(danger)")
  }
}
