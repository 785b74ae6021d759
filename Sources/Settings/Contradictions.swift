/// What the values of a configuration say about each other.
enum Contradictions {
  /// Everything that can't be meant. Requires sound values.
  static func find(in settings: Settings) -> [SettingFault] {
    var faults: [SettingFault] = []
    transport(settings, &faults)
    authentication(settings, &faults)
    policies(settings, &faults)
    limits(settings, &faults)
    exposure(settings, &faults)
    return faults
  }

  /// What may be meant, but perhaps isn't.
  static func doubts(about settings: Settings) -> [String] {
    var doubts: [String] = []
    if settings.isAuthenticationOn, settings.policies.isEmpty {
      doubts.append("authentication is on, and no [[policy]] allows anybody anything")
    }
    if settings[Schema.providers].contains("jwt") {
      if !settings.isGiven(Schema.issuer) {
        doubts.append(
          "auth.jwt.issuer is not set: it doesn't matter who issued a token that a key of the file signed")
      }
      if settings[Schema.audience].isEmpty {
        doubts.append("auth.jwt.audience is not set: tokens that name an audience are refused")
      }
    }
    let (shake, silence) = (settings[Schema.handshakeTimeout], settings[Schema.firstRequestSeconds])
    if settings.isTLSOn, shake > silence {
      doubts.append(
        "\(Schema.handshakeTimeout.path) is \(shake), and no handshake has so long: "
          + "\(Schema.firstRequestSeconds.path), \(silence), begins with the connection")
    }
    if settings[Schema.isInsecure], settings.listenAddress.isLoopback {
      doubts.append("insecure does nothing on the loopback address \(settings.listenAddress.text)")
    }
    return doubts
  }

  private static func transport(_ settings: Settings, _ faults: inout [SettingFault]) {
    let certificate = settings.isGiven(Schema.certificate)
    if certificate, !settings.isGiven(Schema.privateKey) {
      faults.append(
        SettingFault(settings.origin(of: Schema.certificate), "tls.certificate is set, and tls.key is not"))
    }
    if !certificate {
      for entry in Schema.tls where settings[entry].origin != .standard {
        faults.append(
          SettingFault(settings[entry].origin, "\(entry.path) is set, and tls.certificate is not: TLS is off")
        )
      }
      return
    }
    let asksClients = settings[Schema.clientCertificates] != "off"
    if asksClients, !settings.isGiven(Schema.clientCA) {
      faults.append(
        SettingFault(
          settings.origin(of: Schema.clientCertificates),
          "tls.client_certificates is \"\(settings[Schema.clientCertificates])\", and tls.client_ca is not set: "
            + "nobody's certificate could be checked"))
    }
    if !asksClients, settings.isGiven(Schema.clientCA) {
      faults.append(
        SettingFault(
          settings.origin(of: Schema.clientCA),
          "tls.client_ca is set, and tls.client_certificates is \"off\""))
    }
  }

  private static func authentication(_ settings: Settings, _ faults: inout [SettingFault]) {
    let providers = settings[Schema.providers]
    let place = settings.origin(of: Schema.providers)
    for name in ["token", "jwt", "mtls"] where !providers.contains(name) {
      let section = "auth.\(name)"
      let given = Schema.entries.filter { $0.section == section && settings[$0].origin != .standard }
      if let origin = settings.sections[section] ?? given.first.map({ settings[$0].origin }) {
        faults.append(
          SettingFault(origin, "[\(section)] is given, and \"\(name)\" is not in auth.providers"))
      }
    }
    if providers.isEmpty, settings.isGiven(Schema.ticketSeconds) {
      faults.append(
        SettingFault(
          settings.origin(of: Schema.ticketSeconds), "auth.ticket_seconds is set, and authentication is off"))
    }
    func require<Kind>(_ name: String, _ key: Key<Kind>) {
      guard providers.contains(name), !settings.isGiven(key) else { return }
      faults.append(
        SettingFault(place, "\"\(name)\" is in auth.providers, and \(key.path) is not set"))
    }
    require("token", Schema.tokenFile)
    require("jwt", Schema.jwks)
    if providers.contains("mtls"), settings[Schema.clientCertificates] == "off" {
      faults.append(
        SettingFault(
          place,
          "\"mtls\" is in auth.providers, and tls.client_certificates is \"off\": nobody has a certificate"))
    }
  }

  private static func policies(_ settings: Settings, _ faults: inout [SettingFault]) {
    if !settings.isAuthenticationOn, let origin = settings.sections["policy"] {
      faults.append(
        SettingFault(
          origin, "[[policy]] is given, and authentication is off (auth.providers): it would not be asked"))
    }
  }

  private static func limits(_ settings: Settings, _ faults: inout [SettingFault]) {
    for (burst, rate) in Schema.bursts
    where settings.isGiven(burst) && settings[burst] > 0 && settings[rate] == 0 {
      faults.append(SettingFault(settings.origin(of: burst), "\(burst.path) is set, and \(rate.path) is not"))
    }
  }

  /// Beyond loopback there must be TLS and authentication, or somebody who says that he knows.
  private static func exposure(_ settings: Settings, _ faults: inout [SettingFault]) {
    let missing = settings.missingSafety
    let listen = settings.listenAddress
    if missing.isEmpty, settings[Schema.isInsecure] {
      faults.append(
        SettingFault(
          settings.origin(of: Schema.isInsecure),
          "insecure is set, and TLS and authentication are on: drop it"))
    }
    guard !listen.isLoopback, !missing.isEmpty, !settings[Schema.isInsecure] else { return }
    // Without a policy authentication is on all the same: it allows nothing.
    faults.append(
      SettingFault(
        settings.origin(of: Schema.listen),
        "refusing to listen on \(listen.text): without \(missing.joined(separator: " and ")) only a loopback address "
          + "is served. Use 127.0.0.1:PORT, or switch on what is missing, or --insecure if the network can be trusted"
      ))
  }
}

extension Settings {
  public var listenAddress: ListenAddress {
    // The schema's check has read it before.
    ListenAddress(self[Schema.listen]) ?? ListenAddress(address: "127.0.0.1", port: 8080)
  }

  public var isAuthenticationOn: Bool { !self[Schema.providers].isEmpty }
  public var isTLSOn: Bool { self[Schema.certificate] != nil }

  /// What a network asks for and these settings don't have.
  public var missingSafety: [String] {
    (isTLSOn ? [] : ["TLS"]) + (isAuthenticationOn ? [] : ["authentication"])
  }
}
