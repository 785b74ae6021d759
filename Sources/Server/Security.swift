internal import Access
internal import Bytes
internal import EventLoop
internal import Settings

/// What protects the server, made whole from settings and the files that they name, before anything of a running server
/// is touched. Main thread: it reads files.
struct Security {
  /// Nil: authentication is off.
  var access: AccessControl?
  /// Nil: connections are plain.
  var tls: TLSContext?
  /// Where denials are written down.
  var audit: AuditFile

  /// Reads and checks everything. All faults are told together.
  /// - Parameters:
  ///   - generation: of the access control that is made.
  ///   - earlier: the context that the new one takes the place of.
  ///   - isTrial: whether nobody will be served: then no file is made.
  init(
    _ settings: Settings, generation: UInt64, succeeding earlier: TLSContext? = nil, isTrial: Bool = false
  ) throws(SettingsFailure) {
    var reading = Reading(settings: settings)
    tls = reading.tls(succeeding: earlier)
    access = reading.access(generation: generation, authorities: tls?.authorityGeneration ?? 0)
    reading.checkBrowser()
    // Last, because it is made if it isn't there: settings that are refused leave nothing behind.
    audit = reading.audit(isTrial: isTrial || !reading.faults.isEmpty)
    guard reading.faults.isEmpty else { throw SettingsFailure(reading.faults, areContradictions: true) }
  }

  /// The files of some settings, as they are read.
  private struct Reading {
    let settings: Settings
    var faults: [SettingFault] = []

    /// Origins and names that are none.
    mutating func checkBrowser() {
      for (key, cause) in BrowserSettings(settings).faults() {
        let origin =
          switch key {
          case Schema.origins.path: settings.origin(of: Schema.origins)
          case Schema.hosts.path: settings.origin(of: Schema.hosts)
          case Schema.corsCredentials.path: settings.origin(of: Schema.corsCredentials)
          default: settings.origin(of: Schema.corsOrigins)
          }
        faults.append(SettingFault(origin, "\(key): \(cause)"))
      }
    }

    // MARK: Who listens in

    mutating func tls(succeeding earlier: TLSContext?) -> TLSContext? {
      guard let wanted = TLSSettings(settings), let files = files(of: wanted) else { return nil }
      do throws(TLSError) {
        return try TLSContext(wanted, files, succeeding: earlier)
      } catch {
        switch error.path {
        case wanted.key: fault(Schema.privateKey, "\(error)")
        case wanted.clientCA: fault(Schema.clientCA, "\(error)")
        default: fault(Schema.certificate, "\(error)")
        }
        return nil
      }
    }

    /// Each opened once: what is used is what was looked at. Nil if others can read the key, or say who signs for
    /// clients.
    private mutating func files(of wanted: TLSSettings) -> TLSFiles? {
      let bytesMax = SettingsLimits.fileBytesMax
      let certificate = file(Schema.certificate, bytesMax: bytesMax)
      let key = file(Schema.privateKey, .isPrivate, bytesMax: bytesMax)
      let authorities = file(Schema.clientCA, .isUnchangeable, bytesMax: bytesMax)
      guard let certificate, let key, wanted.clientCA == nil || authorities != nil else { return nil }
      return TLSFiles(
        certificate: certificate.contents, key: key.contents, clientCA: authorities?.contents)
    }

    // MARK: What is written down

    mutating func audit(isTrial: Bool) -> AuditFile {
      do throws(FileFault) {
        return try AuditFile(settings[Schema.auditFile] ?? "", isTrial: isTrial)
      } catch {
        fault(Schema.auditFile, "\(error)")
        return AuditFile()
      }
    }

    // MARK: Who is asking, and what they may

    mutating func access(generation: UInt64, authorities: UInt64) -> AccessControl? {
      guard settings.isAuthenticationOn else { return nil }
      var sources: [Authenticator.Source] = []
      for provider in settings[Schema.providers] {
        switch provider {
        case "token": if let table = tokens() { sources.append(.tokens(table)) }
        case "jwt": if let verifier = verifier() { sources.append(.jwt(verifier)) }
        default: sources.append(.certificates(CertificateNaming(certificateNaming)))
        }
      }
      let rules = settings.policies.compactMap { rule(of: $0) }
      return AccessControl(
        authenticator: Authenticator(sources, authorityGeneration: authorities), policy: Policy(rules),
        generation: generation)
    }

    private mutating func tokens() -> TokenTable? {
      let bytesMax = CredentialLimits.tokenFileBytesMax
      guard let file = file(Schema.tokenFile, .isPrivate, bytesMax: bytesMax) else { return nil }
      do throws(TokenFileError) {
        defer { withExtendedLifetime(file) {} }
        return try TokenTable(parsing: file.contents.bytes)
      } catch {
        fault(Schema.tokenFile, "\(file.path): \(error)")
        return nil
      }
    }

    private mutating func verifier() -> JWTVerifier? {
      let bytesMax = CredentialLimits.keyFileBytesMax
      guard let file = file(Schema.jwks, bytesMax: bytesMax) else { return nil }
      let keys: KeySet
      do throws(KeySetError) {
        defer { withExtendedLifetime(file) {} }
        keys = try KeySet(parsing: file.contents.bytes)
      } catch {
        fault(Schema.jwks, "\(file.path): \(error)")
        return nil
      }
      do throws(FileFault) {
        try keys.holdsSecrets ? file.requirePrivate() : file.requireUnchangeable()
      } catch {
        fault(Schema.jwks, "\(error)")
        return nil
      }
      var jwt = JWTSettings()
      jwt.jwks = file.path
      jwt.issuer = settings[Schema.issuer]
      jwt.audiences = settings[Schema.audience]
      jwt.leewaySeconds = UInt64(settings[Schema.leewaySeconds])
      jwt.agentClaim = settings[Schema.agentClaim]
      jwt.rolesClaim = settings[Schema.rolesClaim]
      jwt.algorithms = settings[Schema.algorithms].compactMap { JWTAlgorithm(rawValue: $0) }
      return JWTVerifier(jwt, keys: keys)
    }

    private var certificateNaming: MutualTLSSettings {
      var naming = MutualTLSSettings()
      naming.agentFrom = CertificateName(rawValue: settings[Schema.agentFrom]) ?? naming.agentFrom
      naming.roles = settings[Schema.certificateRoles]
      return naming
    }

    private mutating func rule(of policy: PolicySetting) -> PolicyRule? {
      do throws(PolicyRule.Fault) {
        return try PolicyRule(
          roles: policy.rule.roles, agents: policy.rule.agents, verbs: policy.rule.verbs,
          resources: policy.rule.resources)
      } catch {
        let place = error.index.map { "\(error.key)[\($0)]" } ?? error.key
        faults.append(SettingFault(policy.origin, "policy: \(place) \(error.detail)"))
        return nil
      }
    }

    // MARK: Files

    /// What a file must be besides readable.
    private enum Demand {
      case nothing, isPrivate, isUnchangeable
    }

    /// The file that a key names; nil if it names none, or, with a fault, if it can't be taken.
    private mutating func file(
      _ key: Key<String?>, _ demand: Demand = .nothing, bytesMax: Int
    ) -> CheckedFile? {
      guard let path = settings[key] else { return nil }
      do throws(FileFault) {
        let file = try CheckedFile.read(path, bytesMax: bytesMax)
        switch demand {
        case .nothing: break
        case .isPrivate: try file.requirePrivate()
        case .isUnchangeable: try file.requireUnchangeable()
        }
        return file
      } catch {
        fault(key, "\(error)")
        return nil
      }
    }

    private mutating func fault(_ key: Key<String?>, _ cause: String) {
      faults.append(SettingFault(settings.origin(of: key), "\(key.path): \(cause)"))
    }
  }
}
