extension Schema {
  // MARK: tls

  public static let certificate = Key<String?>(
    "tls.certificate", .path, example: .text("/etc/engram/tls/server.crt"), change: .reload,
    help: "File of the certificate and those that it hangs on, PEM, the server's first. Turns TLS on.")
  public static let privateKey = Key<String?>(
    "tls.key", .path, example: .text("/etc/engram/tls/server.key"), change: .reload,
    help: "File of the certificate's private key, PEM. Nobody but its owner and group may read it.")
  public static let keyPassphrase = Key<String?>(
    "tls.key_passphrase", .text, example: .text("correct horse battery staple"), isSecret: true,
    change: .reload,
    help: "What an encrypted private key is opened with. Better in ENGRAM_TLS_KEY_PASSPHRASE_FILE than here.")
  public static let minVersion = Key<String>(
    "tls.min_version", .choice(["1.2", "1.3"]), .text("1.2"), change: .reload,
    help: "The oldest version of TLS that is spoken. The newest is 1.3.")
  public static let clientCertificates = Key<String>(
    "tls.client_certificates", .choice(["off", "optional", "required"]), .text("off"), change: .reload,
    help: "Whether clients are asked for a certificate, and whether they must have one.")
  public static let clientCA = Key<String?>(
    "tls.client_ca", .path, example: .text("/etc/engram/tls/clients.crt"), change: .reload,
    help: """
      File of the authorities, PEM, that sign the certificates of clients. When one is taken away, everybody who is \
      there by certificate has to connect again.
      """)
  public static let handshakeTimeout = Key<Int>(
    "tls.handshake_timeout_seconds", .integer(1...300), .integer(10), change: .reload,
    help: "How long a handshake may take, within `first_request_seconds`; then the connection is cut.")
  public static let handshakesMax = Key<Int>(
    "tls.handshakes_max", .integer(1...100_000), .integer(1024), change: .reload,
    help: """
      Handshakes under way, each loop having its share of them, all together at most half of the connections that there may \
      be. At the limit the oldest makes room for a new one.
      """)
  public static let sessionResumption = Key<Bool>(
    "tls.session_resumption", .flag, .flag(true), change: .reload,
    help: "Whether a client that comes back may go on with its keys instead of a full handshake.")
  public static let kernelTLS = Key<String>(
    "tls.kernel_tls", .choice(["off", "auto"]), .text("auto"), change: .reload,
    help: "Whether the kernel encrypts, where it can and that is faster.")

  static let tls = [
    certificate.entry, privateKey.entry, keyPassphrase.entry, minVersion.entry, clientCertificates.entry,
    clientCA.entry, handshakeTimeout.entry, handshakesMax.entry, sessionResumption.entry, kernelTLS.entry,
  ]

  // MARK: auth

  public static let providers = Key<[String]>(
    "auth.providers", .list(choices: ["token", "jwt", "mtls"]), .list([]), change: .reload,
    help: """
      Who is asked for the name behind a credential, in this order. None: authentication is off, and so are policies. \
      A reload changes providers, but turns authentication neither on nor off.
      """)
  public static let ticketSeconds = Key<Int>(
    "auth.ticket_seconds", .integer(1...300), .integer(30), change: .reload,
    help: "How long a ticket of `POST /auth/ticket` may be used, once.")
  public static let tokenFile = Key<String?>(
    "auth.token.file", .path, example: .text("/etc/engram/tokens"), change: .reload,
    help:
      "File of tokens, one a line: `agent:role,role:sha256[:expiry]`. Nobody but its owner and group may read it."
  )
  public static let jwks = Key<String?>(
    "auth.jwt.jwks", .path, example: .text("/etc/engram/jwks.json"), change: .reload,
    help:
      "File of the issuer's keys (RFC 7517). With keys of the type `oct` nobody but its owner and group may read it."
  )
  public static let issuer = Key<String?>(
    "auth.jwt.issuer", .text, example: .text("https://login.example.com/"), change: .reload,
    help: "What `iss` must be, to the letter.")
  public static let audience = Key<[String]>(
    "auth.jwt.audience", .list(choices: nil), .list([]), change: .reload,
    help: "What `aud` must be, or hold one of.")
  public static let leewaySeconds = Key<Int>(
    "auth.jwt.leeway_seconds", .integer(0...600), .integer(60), change: .reload,
    help: "How far the issuer's clock may be off, for `exp`, `nbf` and `iat`.")
  public static let agentClaim = Key<String>(
    "auth.jwt.agent_claim", .text, .text("sub"), change: .reload,
    help: "The claim that names the agent; with dots, a way through objects.")
  public static let rolesClaim = Key<String>(
    "auth.jwt.roles_claim", .text, .text("roles"), change: .reload,
    help: "The claim that names roles, as an array or with spaces between; with dots, a way through objects.")
  public static let algorithms = Key<[String]>(
    "auth.jwt.algorithms", .list(choices: ["HS256", "RS256", "ES256", "EdDSA"]),
    .list(["HS256", "RS256", "ES256", "EdDSA"]), change: .reload,
    help: "Signatures that are looked at. Each key's type allows one of them.")
  public static let agentFrom = Key<String>(
    "auth.mtls.agent_from", .choice(["san_uri", "san_dns", "san_email", "cn"]), .text("san_uri"),
    change: .reload,
    help: "Which name of a client's certificate is the agent's. There must be exactly one of that kind.")
  public static let certificateRoles = Key<[String]>(
    "auth.mtls.roles", .list(choices: nil), .list([]), change: .reload,
    help: "Roles of everybody who comes with a certificate.")

  static let auth = [
    providers.entry, ticketSeconds.entry, tokenFile.entry, jwks.entry, issuer.entry, audience.entry,
    leewaySeconds.entry, agentClaim.entry, rolesClaim.entry, algorithms.entry, agentFrom.entry,
    certificateRoles.entry,
  ]
}
