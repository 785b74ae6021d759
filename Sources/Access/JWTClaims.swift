internal import Bytes

/// Where a claim stands: a name, or names of objects within one another, separated by dots. A name with a colon is a
/// URI (RFC 7519, section 2, StringOrURI), whose dots are its own.
struct ClaimPath: Sendable {
  var steps: [[UInt8]]

  init(_ text: String) {
    let bytes = Array(text.utf8)
    steps =
      bytes.contains(UInt8(ascii: ":"))
      ? [bytes]
      : bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map { Array($0) }
  }
}

/// The claims of a JWT (RFC 7519, section 4.1), as far as they decide anything here. Read only once the signature is
/// right; what they say is checked by `JWTVerifier`.
struct JWTClaims {
  var expires: UInt64?
  var notBefore: UInt64?
  var issuedAt: UInt64?
  var issuer: [UInt8]?
  /// Nil: there is no `aud`.
  var audiences: [[UInt8]]?
  var agent: [UInt8]?
  var roles: [String] = []

  init(
    _ text: UnsafeRawBufferPointer, agent: ClaimPath, roles: ClaimPath
  ) throws(AuthenticationFailure) {
    var reading = Reading(agent: agent, roles: roles)
    var reader = ObjectReader(text)
    do throws(JSONError) {
      try reader.document { (reader, name) throws(JSONError) in
        try reading.member(&reader, name, atAgent: 0, atRoles: 0, isTop: true)
      }
    } catch {
      throw reading.failure ?? .malformedToken
    }
    self = reading.claims
  }

  fileprivate init() {}
}

/// One pass over the claims.
private struct Reading {
  let agent: ClaimPath
  let roles: ClaimPath
  var claims = JWTClaims()
  /// Why the text is refused though it is JSON.
  var failure: AuthenticationFailure?

  init(agent: ClaimPath, roles: ClaimPath) {
    self.agent = agent
    self.roles = roles
  }

  /// Reads one member's value for each that asks for it: the same claim may tell the issuer and the agent.
  /// - Parameters:
  ///   - atAgent: how many steps of the agent's path lead to the object; nil if it isn't on that path.
  ///   - isTop: whether the object is the claims themselves.
  mutating func member(
    _ reader: inout ObjectReader, _ name: JSONString, atAgent: Int?, atRoles: Int?, isTop: Bool
  ) throws(JSONError) -> Bool {
    let start = reader.scanner
    var isRead = false
    if isTop { isRead = try registered(&reader, name) }
    let nextAgent = Self.next(agent, atAgent, reader, name)
    let nextRoles = Self.next(roles, atRoles, reader, name)
    if nextAgent == agent.steps.count {
      reader.scanner = start
      claims.agent = try text(&reader, .agent)
      isRead = true
    }
    if nextRoles == roles.steps.count {
      reader.scanner = start
      try readRoles(&reader)
      isRead = true
    }
    let deeperAgent = nextAgent.flatMap { $0 < agent.steps.count ? $0 : nil }
    let deeperRoles = nextRoles.flatMap { $0 < roles.steps.count ? $0 : nil }
    guard deeperAgent != nil || deeperRoles != nil else { return isRead }
    reader.scanner = start
    guard try reader.scanner.peek() == .object else {
      throw refuse(reader, deeperAgent != nil ? .agent : .roles)
    }
    var reading = self
    try reader.object { (reader, name) throws(JSONError) in
      try reading.member(&reader, name, atAgent: deeperAgent, atRoles: deeperRoles, isTop: false)
    }
    self = reading
    return true
  }

  private static func next(
    _ path: ClaimPath, _ at: Int?, _ reader: borrowing ObjectReader, _ name: JSONString
  ) -> Int? {
    guard let at, at < path.steps.count, reader.names(name, path.steps[at]) else { return nil }
    return at + 1
  }

  private mutating func registered(
    _ reader: inout ObjectReader, _ name: JSONString
  ) throws(JSONError) -> Bool {
    if reader.scanner.matches(name, "exp") {
      claims.expires = try time(&reader)
    } else if reader.scanner.matches(name, "nbf") {
      claims.notBefore = try time(&reader)
    } else if reader.scanner.matches(name, "iat") {
      claims.issuedAt = try time(&reader)
    } else if reader.scanner.matches(name, "iss") {
      claims.issuer = try text(&reader, .issuer)
    } else if reader.scanner.matches(name, "aud") {
      claims.audiences = try texts(&reader, .audience, countMax: CredentialLimits.audiencesMax)
    } else {
      return false
    }
    return true
  }

  // MARK: Values

  private mutating func refuse(
    _ reader: borrowing ObjectReader, _ failure: AuthenticationFailure
  ) -> JSONError {
    self.failure = failure
    return reader.refused()
  }

  private mutating func text(
    _ reader: inout ObjectReader, _ failure: AuthenticationFailure
  ) throws(JSONError) -> [UInt8] {
    guard try reader.scanner.peek() == .string else { throw refuse(reader, failure) }
    return try reader.text()
  }

  /// A string, or an array of strings.
  private mutating func texts(
    _ reader: inout ObjectReader, _ failure: AuthenticationFailure, countMax: Int
  ) throws(JSONError) -> [[UInt8]] {
    guard try reader.scanner.peek() == .array else { return [try text(&reader, failure)] }
    var found: [[UInt8]] = []
    var more = try reader.scanner.enterArray()
    while more {
      guard found.count < countMax else { throw refuse(reader, failure) }
      found.append(try text(&reader, failure))
      more = try reader.scanner.nextElement()
    }
    return found
  }

  /// A NumericDate (RFC 7519, section 2) from 1970 to 9999. A fraction is cut off; an exponent is no way to write one.
  private mutating func time(_ reader: inout ObjectReader) throws(JSONError) -> UInt64 {
    guard try reader.scanner.peek() == .number else { throw refuse(reader, .claims) }
    let number: JSONNumber
    do throws(JSONError) { number = try reader.scanner.number() } catch {
      throw error.reason == .integerTooLarge ? refuse(reader, .claims) : error
    }
    let token = reader.scanner.bytes[Int(number.start)..<Int(number.start) + Int(number.count)]
    let digits = token.prefix { $0 != UInt8(ascii: ".") }
    guard digits.count <= 12, digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
      token.dropFirst(digits.count + 1).allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
    else { throw refuse(reader, .claims) }
    let seconds = digits.reduce(UInt64(0)) { $0 * 10 + UInt64($1 - 0x30) }
    guard seconds <= CredentialLimits.timeMax else { throw refuse(reader, .claims) }
    return seconds
  }

  /// A string with spaces between roles (as `scope` of RFC 8693, section 4.2), or an array of strings.
  private mutating func readRoles(_ reader: inout ObjectReader) throws(JSONError) {
    let isList = try reader.scanner.peek() == .array
    var names = try texts(&reader, .roles, countMax: CredentialLimits.rolesMax)
    if !isList { names = names[0].split(separator: UInt8(ascii: " ")).map { Array($0) } }
    for name in names {
      guard Credential.add(name, to: &claims.roles) else { throw refuse(reader, .roles) }
    }
  }
}
