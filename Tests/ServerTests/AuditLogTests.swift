import Access
import Glibc
import Logging
import Settings
import Synchronization
import Telemetry
import Testing

@testable import Server

/// The audit's file and queue, without a server.
@Suite struct AuditLogTests {
  /// What the server's own log was told.
  private final class Said: Sendable {
    let lines = Mutex<[String]>([])
    var logger: Logger { Logger(label: "audit-test") { _ in Handler(said: self) } }
    var text: String { lines.withLock { $0.joined(separator: "\n") } }
  }

  private struct Handler: LogHandler {
    let said: Said
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { said.lines.withLock { $0.append("\(event.level) \(event.message)") } }
  }

  private let directory: TemporaryDirectory
  private let said = Said()

  init() throws { directory = try TemporaryDirectory() }

  private func file(_ name: String) throws(FileFault) -> AuditFile {
    try AuditFile("\(directory.path)/\(name)")
  }

  /// Makes an empty file.
  private func make(_ name: String, _ mode: mode_t, owner: uid_t? = nil) throws {
    let descriptor = open("\(directory.path)/\(name)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    guard fchmod(descriptor, mode) == 0, owner.map({ fchown(descriptor, $0, .max) == 0 }) ?? true else {
      throw TestFailure("make \(name): \(errno)")
    }
  }

  private func text(_ name: String) -> String {
    let descriptor = open("\(directory.path)/\(name)", O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  private func log(_ name: String) throws -> AuditLog {
    try AuditLog(file(name), logger: said.logger, registry: Registry())
  }

  private func denial(of agent: String, isKnown: Bool = true) -> AuditEvent {
    var event = AuditEvent(.denial, .failure)
    event.agent = Array(agent.utf8)
    event.isAgentKnown = isKnown
    event.address = ClientAddress(ipv4: 1)
    return event
  }

  // MARK: The file

  @Test(
    arguments: [
      (0o600, nil, ""), (0o640, nil, ""),
      (0o644, nil, "PATH: mode 0644 lets everybody read it; chmod o-r PATH"),
      (0o620, "PATH: mode 0620 lets others change it; chmod go-w PATH", ""),
      (0o602, "PATH: mode 0602 lets others change it; chmod go-w PATH", ""),
      (0o666, "PATH: mode 0666 lets others change it; chmod go-w PATH", ""),
    ] as [(mode_t, String?, String)])
  func `a file that others may write into is refused`(mode: mode_t, refusal: String?, doubt: String) throws {
    try make("audit", mode)
    func here(_ text: String) -> String { text.replacing("PATH", with: "\(directory.path)/audit") }
    do throws(FileFault) {
      #expect(try file("audit").doubt?.description ?? "" == here(doubt))
      #expect(refusal == nil)
    } catch {
      #expect(error.description == refusal.map(here))
    }
  }

  /// Only root can give a file away.
  @Test(.enabled(if: geteuid() == 0)) func aFileOfSomebodyElseIsRefused() throws {
    try make("audit", 0o600, owner: 4242)
    let fault = #expect(throws: FileFault.self) { _ = try file("audit") }
    #expect(fault?.description.contains("belongs to the user 4242") == true)
  }

  @Test func `a trial finds what is wrong, and makes nothing`() throws {
    func fault(_ name: String) -> String? {
      do throws(FileFault) {
        _ = try AuditFile("\(directory.path)/\(name)", isTrial: true)
        return nil
      } catch { return error.cause }
    }
    #expect(fault("audit") == nil)
    #expect(fault("nowhere/audit") == "can't be opened: No such file or directory")
    #expect(fault("audit/") == "can't be opened: No such file or directory")
    #expect(fault("") == "can't be opened: Is a directory")
    #expect(access("\(directory.path)/audit", F_OK) != 0)
    try make("open", 0o666)
    #expect(fault("open")?.contains("lets others change it") == true)
    try make("good", 0o600)
    #expect(fault("good") == nil)
    #expect(fault("good/audit") == "can't be opened: Not a directory")
  }

  @Test func `lines go to the file that a reload has opened, and the one before is let go`() throws {
    let log = try log("audit")
    log.record(AuditEvent(.start, .success))
    while text("audit").isEmpty { usleep(1000) }
    rename("\(directory.path)/audit", "\(directory.path)/moved")
    let held = try file("audit")
    log.adopt(held)
    log.record(AuditEvent(.reload, .success))
    while text("audit").isEmpty { usleep(1000) }
    #expect(!text("moved").contains("\"reload\""))
    // The configuration keeps what it was made with, but not the descriptor.
    #expect(!isOpen("moved") && isOpen("audit"))
    log.end()
    #expect(!isOpen("audit"))
    withExtendedLifetime(held) {}
  }

  @Test(arguments: [("", ""), ("{}\n", "{}\n"), ("{}\n{\"ti", "{}\n{\"ti\n"), ("{", "{\n")])
  func `a file that ends in half a line gets its end first`(before: String, kept: String) throws {
    try append(before, to: "audit")
    let log = try log("audit")
    log.record(AuditEvent(.start, .success))
    log.end()
    let text = text("audit")
    #expect(text.hasPrefix(kept + "{\"time\":") && text.dropFirst(kept.utf8.count).count { $0 == "\n" } == 1)
  }

  @Test func `a line that was cut before the same file is opened again stays apart from the next`() throws {
    let log = try log("audit")
    log.record(AuditEvent(.start, .success))
    while text("audit").isEmpty { usleep(1000) }
    // As a full disk leaves it.
    try append("{\"time", to: "audit")
    log.adopt(try file("audit"))
    log.record(AuditEvent(.reload, .success))
    log.end()
    let lines = text("audit").split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count == 4)
    #expect(lines.dropFirst().first == "{\"time")
    #expect(lines.dropFirst(2).first?.contains("\"reload\"") == true)
  }

  private func append(_ text: String, to name: String) throws {
    let descriptor = open("\(directory.path)/\(name)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    guard write(descriptor, text, text.utf8.count) == text.utf8.count else {
      throw TestFailure("append to \(name): \(errno)")
    }
  }

  /// Whether this process has the file open.
  private func isOpen(_ name: String) -> Bool {
    var wanted = stat()
    guard stat("\(directory.path)/\(name)", &wanted) == 0 else { return false }
    return (0..<Int32(1024)).contains { descriptor in
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { return false }
      return status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev
    }
  }

  // MARK: Who is written down

  @Test func `noise that anybody can make hides no denial of a known agent`() throws {
    let log = try log("audit")
    for _ in 0..<1000 {
      var event = AuditEvent(.authenticationFailure, .failure)
      event.address = ClientAddress(ipv4: 1)
      log.record(event)
      // What somebody without a credential calls himself gives no budget either.
      log.record(denial(of: "\(Int.random(in: 0..<1000))", isKnown: false))
    }
    for _ in 0..<AuditSieve.linesMax + 7 { log.record(denial(of: "anna")) }
    log.end()
    let lines = text("audit").split(separator: "\n")
    let ofAnna = lines.filter { $0.contains("\"agent\":\"anna\"") }
    #expect(ofAnna.count { $0.contains("\"denial\"") } == AuditSieve.linesMax)
    let summary = try #require(ofAnna.first { $0.contains("\"suppressed\"") })
    #expect(summary.contains("\"address\":\"0.0.0.1\"") && summary.contains("\"count\":7"))
    #expect(lines.count == 2 * AuditSieve.linesMax + 2)
    #expect(lines.contains { $0.contains("\"count\":\(2000 - AuditSieve.linesMax)") })
  }

  @Test func `the queue has room that noise can't take`() {
    let rooms = [
      AuditLog.room(for: AuditEvent(.authenticationFailure, .failure)),
      AuditLog.room(for: denial(of: "anna", isKnown: false)), AuditLog.room(for: denial(of: "anna")),
      AuditLog.room(for: AuditEvent(.stop, .success)),
    ]
    #expect(rooms[0] == rooms[1] && rooms[0] > 0)
    // A window's lines of ten agents at least.
    #expect(rooms[2] - rooms[1] >= 10 * AuditSieve.linesMax)
    #expect(rooms[3] > rooms[2])
  }
}
