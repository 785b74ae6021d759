public import Access
public import EventLoop
public import Settings

/// What a server is run with.
public struct Configuration: Sendable {
  /// An IPv4 or IPv6 literal.
  public var address = "127.0.0.1"
  public var port: UInt16 = 8080
  public var dataDirectory = "./data"
  public var loops = 1
  /// Whether units are indexed, and `POST /search` answers.
  public var search = true
  public var version = "0"
  public var connections = ConnectionLimits()
  /// Who may do what; nil: authentication is off.
  public var access: AccessControl?
  /// Whether to listen beyond loopback without TLS and authentication.
  public var isInsecure = false
  /// What all that is said in: a reload compares with it.
  public var settings = Settings.standard
  /// How much agents and addresses may ask for in a time, and have at once.
  public var rates = RateSettings()
  public var caps = CapSettings()
  /// What pages of browsers may do.
  public var browser = BrowserSettings()
  /// Where denials are written down. Whoever takes the configuration takes the open file with it, once.
  var audit = AuditFile()
  /// Nil: the listener speaks plain HTTP.
  public var tls: TLSContext?

  public init() {}

  /// Reads and checks the files that the settings name too: certificates, keys, tokens. Opens that of the audit. Blocks.
  /// - Parameters:
  ///   - generation: of the access control; each reload has the next.
  ///   - earlier: the TLS that a reload takes the place of.
  ///   - isTrial: whether it is only to be seen if a server would take it: nothing is made then, and lines of an audit
  ///     whose file isn't there go into the log.
  public init(
    _ settings: Settings, version: String, generation: UInt64 = 1, succeeding earlier: TLSContext? = nil,
    isTrial: Bool = false
  ) throws(SettingsFailure) {
    let security = try Security(
      settings, generation: generation, succeeding: earlier, isTrial: isTrial)
    access = security.access
    let listen = settings.listenAddress
    address = listen.address
    port = listen.port
    dataDirectory = settings[Schema.dataDirectory]
    loops = settings[Schema.loops]
    search = settings[Schema.search]
    isInsecure = settings[Schema.isInsecure]
    connections = ConnectionLimits(settings)
    rates = RateSettings(settings)
    caps = CapSettings(settings)
    browser = BrowserSettings(settings)
    audit = security.audit
    tls = security.tls
    self.version = version
    self.settings = settings
    if let doubt = audit.doubt { self.settings.warnings.append("\(Schema.auditFile.path): \(doubt)") }
  }

  /// Whether the address is this machine's own: the only place where a server without TLS and authentication
  /// may listen.
  public var isLoopback: Bool { ListenAddress(address: address, port: port).isLoopback }

  /// Whether browsers reach it as `https`.
  var isTLS: Bool { settings.isTLSOn }

  /// `address:port`, with brackets around IPv6.
  public var listen: String { ListenAddress(address: address, port: port).text }
}
