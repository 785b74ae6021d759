/// The limits of credentials and of the files that they are checked against: number, unit, reason, and what happens
/// at the limit. A credential beyond one is refused like any that is wrong (401); a file beyond one isn't loaded.
public enum CredentialLimits {
  // MARK: Credentials

  /// Bytes of a token that the token file may know. Its digest is computed for every request that brings another one.
  public static let tokenBytesMax = 512
  /// Bytes of a JWT. A request's head is at most twice as long.
  public static let jwtBytesMax = 8 << 10
  /// Roles of a principal. Policies are looked up by each.
  public static let rolesMax = 32
  /// Bytes of a role's name.
  public static let roleBytesMax = 128
  /// Audiences that a JWT names.
  public static let audiencesMax = 64
  /// Seconds since 1970 of the last moment of the year 9999: what lies beyond was meant in other units.
  public static let timeMax: UInt64 = 253_402_300_799
  /// Bytes of a certificate, in DER. Those of public authorities have about 2000.
  public static let certificateBytesMax = 64 << 10

  // MARK: Files

  /// Lines with a token in one file. 100,000 take about 30 MiB.
  public static let tokensMax = 100_000
  /// Bytes of the token file.
  public static let tokenFileBytesMax = 32 << 20
  /// Bytes of a JWKS file.
  public static let keyFileBytesMax = 1 << 20
  /// Keys of a JWKS file. Without `kid` each is looked at.
  public static let keysMax = 256
  /// Bytes of a key's name.
  public static let keyIDBytesMax = 256
  /// Bytes of a shared secret, at least: as many as the digest has (RFC 7518, section 3.2).
  public static let secretBytesMin = 32
  /// Bytes of a shared secret, at most.
  public static let secretBytesMax = 1024
  /// Bits of an RSA key (RFC 7518, section 3.3; and 8192 bits cost a loop about 0.2 ms for each signature).
  public static let rsaBits = 2048...8192

  // MARK: Tickets

  /// How long a ticket may be redeemed, unless the configuration says: in microseconds.
  public static let ticketMicroseconds: UInt64 = 30 * 1_000_000
  /// Tickets that wait to be redeemed, all agents together. Answer: 503 `unavailable`.
  public static let ticketsMax = 16_384
  /// Tickets of one agent that wait to be redeemed: a page opens a few streams. Answer: 429 `rate_limited`.
  public static let ticketsPerAgentMax = 64
}
