import Bytes
import CTLSTesting
import EventLoop
import Glibc
import Testing

/// Certificates of a test run, in a directory of its own.
enum Certificates {
  static let directory: String = {
    var template = Array("/tmp/engram-tls-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { return "" }
    let path = String(cString: made)
    return testing_make_certificates(path) ? path : ""
  }()

  static func file(_ name: String) -> String { "\(directory)/\(name)" }

  /// A server's settings, by certificate `server`.
  static func settings(
    _ name: String = "server", _ change: (inout TLSSettings) -> Void = { _ in }
  ) -> TLSSettings {
    var settings = TLSSettings(certificate: file("\(name).pem"), key: file("\(name).key"))
    change(&settings)
    return settings
  }
}

extension SecretBytes {
  /// A file of the test's own; what isn't there is empty.
  static func of(_ path: String) -> SecretBytes {
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    let file = fopen(path, "r")
    defer { if let file { fclose(file) } }
    let count = file.map { fread(&bytes, 1, bytes.count, $0) } ?? 0
    return bytes.withUnsafeBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
  }
}

extension TLSContext {
  /// Of the files that the settings name.
  convenience init(_ settings: TLSSettings, succeeding earlier: TLSContext? = nil) throws(TLSError) {
    let files = TLSFiles(
      certificate: SecretBytes.of(settings.certificate), key: SecretBytes.of(settings.key),
      clientCA: settings.clientCA.map { SecretBytes.of($0) })
    try self.init(settings, files, succeeding: earlier)
  }
}

/// How a client speaks.
struct ClientOptions {
  var certificate: String?
  var versions: ClosedRange<Int32> = 0x0303...0x0304
  var protocols: [String] = []
  var suites: String?
  var session: TicketOfSession?

  static let v12 = ClientOptions(versions: 0x0303...0x0303)
  static let v13 = ClientOptions(versions: 0x0304...0x0304)
}

/// A session that a client may go on from.
final class TicketOfSession: @unchecked Sendable {
  let raw: UnsafeMutableRawPointer
  init?(_ raw: UnsafeMutableRawPointer?) {
    guard let raw else { return nil }
    self.raw = raw
  }
  deinit { testing_tls_session_release(raw) }
}

/// The client's side of TLS, over memory.
final class ClientSession: @unchecked Sendable {
  let raw: OpaquePointer

  init(_ options: ClientOptions = .init()) throws {
    let wire = options.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    let authority = Certificates.file("ca.pem")
    let certificate = options.certificate.map { Certificates.file("\($0).pem") }
    let key = options.certificate.map { Certificates.file("\($0).key") }
    let made = authority.withCString { authority in
      withOptional(certificate) { certificate in
        withOptional(key) { key in
          withOptional(options.suites) { suites in
            wire.withUnsafeBytes { wire in
              var raw = testing_tls_options(
                authority: authority, certificate: certificate, key: key,
                minimum: options.versions.lowerBound,
                maximum: options.versions.upperBound, protocols: wire.isEmpty ? nil : wire.baseAddress,
                protocols_bytes: UInt32(wire.count), suites: suites, session: options.session?.raw)
              return testing_tls_client_new(&raw)
            }
          }
        }
      }
    }
    raw = try #require(made)
  }

  deinit { testing_tls_client_free(raw) }

  /// Ciphertext to be sent.
  func take() -> [UInt8] {
    var taken: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = testing_tls_client_take(raw, &part, part.count)
      guard count > 0 else { return taken }
      taken += part[..<count]
    }
  }

  func feed(_ bytes: [UInt8]) { testing_tls_client_feed(raw, bytes, bytes.count) }
  func handshake() -> Int32 { testing_tls_client_handshake(raw) }
  func write(_ bytes: [UInt8]) -> Bool { testing_tls_client_write(raw, bytes, bytes.count) }
  func close() { testing_tls_client_close(raw) }
  func updateKeys(both: Bool) -> Bool { testing_tls_client_update_keys(raw, both) }
  func renegotiate() -> Bool { testing_tls_client_renegotiate(raw) }

  /// What can be read now, and how it ended: 0 (more may come), -1 (close_notify), -2 (failed).
  func read() -> (bytes: [UInt8], end: Int) {
    var read: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = testing_tls_client_read(raw, &part, part.count)
      guard count > 0 else { return (read, count) }
      read += part[..<count]
    }
  }

  var alert: Int32 { testing_tls_client_alert(raw) }
  var version: Int32 { testing_tls_client_version(raw) }
  var isResumed: Bool { testing_tls_client_is_resumed(raw) }
  var hasProtocol: Bool { testing_tls_client_has_protocol(raw) }
  var serverName: String { String(cString: testing_tls_client_server_name(raw)) }
  var ticket: TicketOfSession? { TicketOfSession(testing_tls_client_session(raw)) }
}

private func withOptional<R>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
  guard let text else { return body(nil) }
  return text.withCString { body($0) }
}

/// A TLS client on a socket. Blocking.
final class TLSClient: @unchecked Sendable {
  let wire: Client
  let session: ClientSession
  /// What was read beyond what was asked for.
  private var rest: [UInt8] = []
  /// -1 after the server's close_notify, -2 after a failure, -3 after its FIN without one.
  private(set) var end = 0

  init(port: UInt16, _ options: ClientOptions = .init(), receiveBuffer: Int32? = nil) throws {
    wire = try #require(Client(port: port, receiveBuffer: receiveBuffer))
    session = try ClientSession(options)
  }

  /// Sends what the session has to say.
  @discardableResult func push() -> Bool {
    let bytes = session.take()
    return bytes.isEmpty || wire.send(bytes)
  }

  /// Receives what is there, at least something; false at the end.
  private func pull() -> Bool {
    var part = [UInt8](repeating: 0, count: 65_536)
    var count = 0
    repeat {
      count = recv(wire.descriptor, &part, part.count, 0)
    } while count < 0 && errno == EINTR
    guard count > 0 else { return false }
    session.feed(Array(part[..<count]))
    return true
  }

  /// Whether the handshake succeeds on this side. With TLS 1.3 the server may still refuse afterwards.
  func handshake() -> Bool {
    while true {
      let result = session.handshake()
      push()
      if result != 0 { return result == 1 }
      guard pull() else { return false }
    }
  }

  @discardableResult func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      guard session.write(Array(rest.prefix(16_384))), push() else { return false }
      rest = rest.dropFirst(16_384)
    }
    return true
  }

  /// Up to `count` bytes; fewer at the end, which `end` tells.
  func receive(_ count: Int) -> [UInt8] {
    while rest.count < count, end == 0 {
      let (bytes, went) = session.read()
      rest += bytes
      push()
      if went < 0 { end = went }
      guard rest.count < count, end == 0 else { break }
      if !pull() { end = -3 }
    }
    let taken = Array(rest.prefix(count))
    rest.removeFirst(taken.count)
    return taken
  }

  /// Reads to the end, and says what that was.
  func readToEnd() -> (bytes: [UInt8], end: Int) {
    var all: [UInt8] = []
    while true {
      let part = receive(1 << 20)
      all += part
      if part.count < 1 << 20 { return (all, end) }
    }
  }

  func close() {
    session.close()
    push()
  }
}

extension Server {
  /// A server whose connections speak TLS with `context`.
  static func secure(_ loop: EventLoop, _ context: TLSContext) throws -> Server {
    let server = try Server(loop)
    server.context = context
    return server
  }
}
