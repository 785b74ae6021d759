import EventLoop
import Glibc
import Logging
import Synchronization
import Testing

@testable import Server

/// Tests with a real server run one after the other: they block the threads of Swift's pool, of which there are few.
@Suite(.serialized) enum WithServer {}

/// Seconds that a test waits for what must happen, before it says that it didn't. Long: a busy machine's disk may
/// stand still for half a minute, and who doesn't fail doesn't wait.
let patience = 120

/// A directory of the test's own, gone with it.
final class TemporaryDirectory {
  let path: String

  init() throws {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/engram-server.XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    guard let made else { throw TestFailure("mkdtemp: \(errno)") }
    path = made
  }

  deinit { TemporaryDirectory.remove(path) }

  private static func remove(_ path: String) {
    guard let directory = opendir(path) else { return }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name == "." || name == ".." { continue }
      if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
    }
    closedir(directory)
    rmdir(path)
  }
}

struct TestFailure: Error {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}

extension Server {
  /// A server that isn't started, on one loop, silent, on a port of the kernel's choice.
  static func make(_ directory: TemporaryDirectory, port: UInt16 = 0) throws(ServerFailure) -> Server {
    var configuration = Configuration()
    configuration.port = port
    configuration.dataDirectory = directory.path
    return try Server(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// A started server for the length of `body`.
  static func with<Result>(_ directory: TemporaryDirectory, _ body: (Server) throws -> Result) throws
    -> Result
  {
    let server = try make(directory)
    server.start()
    defer { server.stop() }
    return try body(server)
  }

  var loop: EventLoop {
    get throws { try #require(loops.first) }
  }
}

extension EventLoop {
  /// What crosses from the loop's thread to the test's.
  private final class Crossing: Sendable {
    let number = Atomic<UInt64>(0)
    let done = Countdown(1)
  }

  /// Runs `body` on the loop and waits for the number that it returns.
  func sync(_ body: @escaping @Sendable () -> UInt64) throws -> UInt64 {
    let crossing = Crossing()
    perform {
      crossing.number.store(body(), ordering: .relaxed)
      crossing.done.countDown()
    }
    guard crossing.done.wait(seconds: UInt64(patience)) else { throw TestFailure("the loop doesn't answer") }
    return crossing.number.load(ordering: .relaxed)
  }
}

/// One answer as it came.
struct Answer {
  var status: Int
  var head: String
  var body: String

  /// The value of a field, found by its name as the server writes it.
  func field(_ name: String) -> String? {
    for line in head.split(separator: "\r\n") where line.hasPrefix("\(name): ") {
      return String(line.dropFirst(name.utf8.count + 2))
    }
    return nil
  }
}

/// A blocking HTTP client on one connection.
final class Client {
  private let descriptor: Int32
  private var received: [UInt8] = []

  init(_ server: Server) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw TestFailure("socket: \(errno)") }
    var limit = timeval(tv_sec: patience, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = server.port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    // A thread that made a ring may be interrupted when the kernel takes the ring down; the connecting goes on.
    guard result == 0 || (errno == EINTR && isConnected) else { throw TestFailure("connect: \(errno)") }
  }

  deinit { close(descriptor) }

  private var isConnected: Bool {
    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    while poll(&wait, 1, Int32(patience) * 1000) < 0 {
      guard errno == EINTR else { return false }
    }
    var error: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
    return error == 0
  }

  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw TestFailure("send: \(errno)") }
      sent += count
    }
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  private func receiveMore() throws {
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw TestFailure("receive: \(count < 0 ? errno : 0)") }
      received += chunk[..<count]
      return
    }
  }

  /// The next bytes, so many.
  func bytes(_ count: Int) throws -> [UInt8] {
    while received.count < count { try receiveMore() }
    defer { received.removeFirst(count) }
    return Array(received[..<count])
  }

  /// The next answer, which has a Content-Length.
  func answer() throws -> Answer {
    let end = Array("\r\n\r\n".utf8)
    var from = 0
    while true {
      if let found = received[from...].firstRange(of: end) {
        let head = String(decoding: received[..<found.lowerBound], as: UTF8.self)
        var answer = Answer(status: Int(head.dropFirst(9).prefix(3)) ?? 0, head: head, body: "")
        let length = answer.field("Content-Length").flatMap { Int($0) } ?? 0
        while received.count < found.upperBound + length { try receiveMore() }
        answer.body = String(decoding: received[found.upperBound..<found.upperBound + length], as: UTF8.self)
        received.removeFirst(found.upperBound + length)
        return answer
      }
      from = max(0, received.count - end.count)
      try receiveMore()
    }
  }

  func get(_ path: String) throws -> Answer {
    try send(Request.get(path))
    return try answer()
  }

  func post(_ body: String) throws -> Answer {
    try send(Request.post(body))
    return try answer()
  }
}

/// Requests as they go out.
enum Request {
  static func get(_ path: String, _ fields: String...) -> String {
    "GET \(path) HTTP/1.1\r\nHost: localhost\r\n" + fields.map { "\($0)\r\n" }.joined() + "\r\n"
  }

  static func post(_ body: String, _ fields: String...) -> String {
    "POST /workunit HTTP/1.1\r\nHost: localhost\r\n" + fields.map { "\($0)\r\n" }.joined()
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  static func unit(_ context: String, _ payload: String) -> String {
    #"{"context_id":"\#(context)","agent_id":"tester","type":"MESSAGE","payload":"\#(payload)"}"#
  }
}
