/// Which names a server answers to, and which origins' pages may do what: a value made from `[browser]`, asked with
/// what stands in `Host` and `Origin` (RFC 9110, section 7.2; RFC 6454, section 7). Immutable, any thread.
public final class BrowserRules: Sendable {
  /// What an origin's page may do. Nothing of it: what any page may, which is to send what changes nothing, and not to see
  /// the answer.
  public struct Standing: OptionSet, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Change things and open WebSockets.
    public static let acts = Standing(rawValue: 1)
    /// The same, where it brings a credential of its own.
    public static let actsByCredential = Standing(rawValue: 2)
    /// Read answers.
    public static let reads = Standing(rawValue: 4)
    /// Act by what the browser adds unasked: its user's certificate.
    public static let showsCertificates = Standing(rawValue: 8)

    /// The server's own pages, and those of `origins`.
    public static let own: Standing = [.acts, .showsCertificates]
  }

  private let isLoopback: Bool
  private let scheme: [UInt8]
  private let hosts: [[UInt8]]
  private let origins: [[UInt8]]
  private let corsOrigins: [[UInt8]]
  private let grantsAll: Bool
  public let corsCredentials: Bool
  public let corsMaxAgeSeconds: UInt64

  /// - Parameters:
  ///   - isLoopback: whether the server listens on an address of this machine only. Then `Host` must be such a name or
  ///     address too: a page whose name is made to lead here (DNS rebinding) says its own.
  ///   - isTLS: whether browsers reach it as `https`.
  public init(_ settings: BrowserSettings, isLoopback: Bool, isTLS: Bool) {
    self.isLoopback = isLoopback
    scheme = Array((isTLS ? "https" : "http").utf8)
    hosts = settings.hosts.map { BrowserRules.lower(Array($0.utf8)) }
    let normal = { (text: String) in
      let lower = BrowserRules.lower(Array(text.utf8))
      return lower.withUnsafeBytes { Array(BrowserRules.withoutDefaultPort($0)) }
    }
    origins = settings.origins.map(normal)
    corsOrigins = settings.corsOrigins.filter { $0 != "*" }.map(normal)
    grantsAll = settings.corsOrigins.contains("*")
    // A page of anywhere never acts with somebody's cookies or certificate (Fetch, section 3.3.5).
    corsCredentials = settings.corsCredentials && !grantsAll
    corsMaxAgeSeconds = settings.corsMaxAgeSeconds
  }

  /// Whether answers depend on `Origin`.
  public var allowsCORS: Bool { grantsAll || !corsOrigins.isEmpty }
  /// Whether answers may say `*` instead of the origin.
  public var allowsAll: Bool { grantsAll }

  // MARK: Host

  /// Whether the server answers to the name that a request calls it by.
  /// - Parameter host: `uri-host [":" port]`, as a parsed head has it.
  public func answers(to host: UnsafeRawBufferPointer) -> Bool {
    guard isLoopback || !hosts.isEmpty else { return true }
    let name = BrowserRules.withoutPort(host)
    if BrowserRules.isLoopback(name) { return true }
    return hosts.contains { BrowserRules.same($0, host) || BrowserRules.same($0, name) }
  }

  /// Whether a name or address leads to this machine wherever it is looked up (RFC 6761, section 6.3; RFC 1122, section
  /// 3.2.1.3).
  static func isLoopback(_ name: UnsafeRawBufferPointer) -> Bool {
    // By index: on the way of every request, where generic algorithms allocate in a debug build.
    if !name.isEmpty, name[0] == UInt8(ascii: "1") { return isLoopbackIPv4(name) }
    if equals(name, "localhost") || equals(name, "[::1]") { return true }
    let domain: StaticString = ".localhost"
    return name.count > domain.utf8CodeUnitCount
      && equals(UnsafeRawBufferPointer(rebasing: name.suffix(domain.utf8CodeUnitCount)), domain)
  }

  /// Four decimal numbers up to 255, the first of them 127. Short and octal forms are no way to write one.
  private static func isLoopbackIPv4(_ name: UnsafeRawBufferPointer) -> Bool {
    guard name.count >= 9, name[0] == 0x31, name[1] == 0x32, name[2] == 0x37 else { return false }
    var (dots, digits, value) = (0, 0, 0)
    for place in 0..<name.count {
      let byte = name[place]
      if byte == UInt8(ascii: ".") {
        guard digits > 0 else { return false }
        (dots, digits, value) = (dots + 1, 0, 0)
      } else {
        guard byte >= 0x30, byte <= 0x39, digits == 0 || value > 0 else { return false }
        value = value * 10 + Int(byte - 0x30)
        digits += 1
        guard value <= 255 else { return false }
      }
    }
    return dots == 3 && digits > 0
  }

  // MARK: Origin

  /// What the page may do that a request comes from.
  /// - Parameters:
  ///   - origin: the value of `Origin`: `scheme://host[:port]`, or `null`, which is nobody's own.
  ///   - host: the name that the request calls the server by.
  public func standing(
    origin: UnsafeRawBufferPointer, host: UnsafeRawBufferPointer
  ) -> Standing {
    guard let separator = BrowserRules.authorityStart(origin) else { return [] }
    var standing: Standing = grantsAll ? [.reads, .actsByCredential] : []
    let normal = BrowserRules.withoutDefaultPort(origin)
    if corsOrigins.contains(where: { BrowserRules.same($0, normal) }) {
      standing.formUnion([.reads, .acts])
      if corsCredentials { standing.insert(.showsCertificates) }
    }
    if origins.contains(where: { BrowserRules.same($0, normal) }) { return standing.union(.own) }
    let schemeOfOrigin = UnsafeRawBufferPointer(rebasing: origin[..<(separator - 3)])
    guard BrowserRules.same(scheme, schemeOfOrigin), !host.isEmpty else { return standing }
    let authority = UnsafeRawBufferPointer(rebasing: normal[separator...])
    let own = BrowserRules.withoutPort(host, ifDefaultOf: schemeOfOrigin)
    return BrowserRules.same(own, authority) ? standing.union(.own) : standing
  }

  /// Where the authority begins, behind `://`; nil if there is none.
  private static func authorityStart(_ origin: UnsafeRawBufferPointer) -> Int? {
    guard let colon = origin.firstIndex(of: UInt8(ascii: ":")), colon > 0, colon + 3 < origin.count,
      origin[colon + 1] == UInt8(ascii: "/"), origin[colon + 2] == UInt8(ascii: "/")
    else { return nil }
    return colon + 3
  }

  private static func withoutDefaultPort(_ origin: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    guard let start = authorityStart(origin) else { return origin }
    return withoutPort(origin, ifDefaultOf: UnsafeRawBufferPointer(rebasing: origin[..<(start - 3)]))
  }

  /// Without `:80` of http and `:443` of https, which nobody needs to write.
  private static func withoutPort(
    _ text: UnsafeRawBufferPointer, ifDefaultOf scheme: UnsafeRawBufferPointer
  ) -> UnsafeRawBufferPointer {
    let port: StaticString =
      if equals(scheme, "http") { ":80" } else if equals(scheme, "https") { ":443" } else { "" }
    let count = port.utf8CodeUnitCount
    guard count > 0, text.count > count,
      equals(UnsafeRawBufferPointer(rebasing: text.suffix(count)), port)
    else { return text }
    return UnsafeRawBufferPointer(rebasing: text.dropLast(count))
  }

  /// Without `:port`. In brackets, colons are the address's.
  private static func withoutPort(_ host: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var end = host.count
    while end > 0, host[end - 1] >= 0x30, host[end - 1] <= 0x39 { end -= 1 }
    guard end > 0, host[end - 1] == UInt8(ascii: ":") else { return host }
    return UnsafeRawBufferPointer(rebasing: host[..<(end - 1)])
  }

  // MARK: Comparing

  private static func lower(_ bytes: [UInt8]) -> [UInt8] { bytes.map(lower) }

  private static func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte }

  private static func same(_ lower: [UInt8], _ text: UnsafeRawBufferPointer) -> Bool {
    lower.withUnsafeBytes { same($0, text) }
  }

  private static func same(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    var place = 0
    while place < a.count {
      guard lower(a[place]) == lower(b[place]) else { return false }
      place += 1
    }
    return true
  }

  private static func equals(_ text: UnsafeRawBufferPointer, _ literal: StaticString) -> Bool {
    same(text, UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
  }
}

extension BrowserSettings {
  /// What is wrong with the texts: key, and why. Nothing if it is empty.
  public func faults() -> [(key: String, cause: String)] {
    var found: [(String, String)] = []
    func check(_ key: String, _ texts: [String], _ fault: (String) -> String?) {
      for text in texts {
        if let cause = fault(text) { found.append((key, "\"\(text)\" \(cause)")) }
      }
    }
    check("browser.origins", origins, BrowserSettings.originFault)
    check("browser.hosts", hosts) { host in
      BrowserSettings.isAuthority(Substring(host)) ? nil : "is not a name or address, with or without a port"
    }
    check("browser.cors_origins", corsOrigins) { $0 == "*" ? nil : BrowserSettings.originFault($0) }
    if corsCredentials, corsOrigins.contains("*") {
      found.append(("browser.cors_credentials", "can't be true where cors_origins has \"*\""))
    }
    return found
  }

  private static func originFault(_ text: String) -> String? {
    if text == "null" { return "stands for every page without an origin: it can't be trusted" }
    guard let separator = text.firstRange(of: "://") else {
      return "is not an origin, such as https://console.example"
    }
    let scheme = text[..<separator.lowerBound]
    let isScheme =
      scheme.first?.isLetter == true
      && scheme.utf8.allSatisfy { byte in
        (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7a) || (byte >= 0x30 && byte <= 0x39)
          || "+-.".utf8.contains(byte)
      }
    guard isScheme, isAuthority(text[separator.upperBound...]) else {
      return "is not an origin: scheme://host or scheme://host:port, without a path"
    }
    return nil
  }

  /// A host of letters, digits, `.`, `-` and `_`, or an address in brackets, and perhaps a port.
  private static func isAuthority(_ text: Substring) -> Bool {
    var host = text
    if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
      guard let port = UInt16(text[text.index(after: colon)...]), port > 0 else { return false }
      host = text[..<colon]
    }
    if host.hasPrefix("["), host.hasSuffix("]") {
      let inner = host.dropFirst().dropLast().utf8
      return !inner.isEmpty && inner.allSatisfy { isHexadecimal($0) || $0 == 0x3a || $0 == 0x2e }
    }
    return !host.isEmpty
      && host.utf8.allSatisfy { byte in
        (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7a) || (byte >= 0x30 && byte <= 0x39)
          || "-._".utf8.contains(byte)
      }
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (byte >= 0x30 && byte <= 0x39) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x66)
  }
}
