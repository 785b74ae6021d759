import CIOUring
import Engine
import EventLoop
import Glibc
import HTTP
import Telemetry
import WAL

@testable import API

struct TestFailure: Error {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}

/// A directory of the test's own, gone with it.
final class TemporaryDirectory {
  let path: String

  init() throws {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/engram-api.XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    guard let made else { throw TestFailure("mkdtemp: \(errno)") }
    path = made
  }

  deinit { TemporaryDirectory.remove(path) }

  static func remove(_ path: String) {
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

extension LiveEngine {
  /// One of the least size: memory registered with a ring is for as long as the process, and tests make many.
  static func small(
    _ directory: TemporaryDirectory, _ loop: EventLoop, _ registry: Registry
  ) throws -> LiveEngine {
    var limits = EngineLimits()
    limits.registeredSlabs = 0
    return try open(
      directory.path, loops: [loop], limits: limits, configuration: LogConfiguration(segmentBytes: 16 << 20),
      metrics: EngineMetrics(registry), onFatal: { _ in }
    ).0
  }
}

/// A service that is always well.
final class Well: ServiceStatus {
  let version = "test"
  let isReady = true
  let checks: [ReadinessCheck] = []
  let exposition: [UInt8] = []
}

/// An exchange without a server: on an engine whose loop doesn't run, so that the test's thread may touch both.
final class Desk {
  let exchange: Exchange
  private let loop: EventLoop
  private let engine: LiveEngine
  private let directory: TemporaryDirectory
  private let peer: Int32

  init() throws {
    directory = try TemporaryDirectory()
    let registry = Registry()
    loop = try EventLoop(index: 0)
    engine = try LiveEngine.small(directory, loop, registry)
    let services = LoopServices(engine: engine.engines[0], service: Well(), metrics: APIMetrics(registry))
    var pair: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
      throw TestFailure("socketpair: \(errno)")
    }
    peer = pair[1]
    exchange = Exchange(socket: Socket(loop: loop, descriptor: pair[0]), services: services)
  }

  deinit {
    engine.quiesce()
    engine.close()
    loop.join()
    close(peer)
  }

  /// Lets the exchange hold a request for the length of `body`.
  func with<Result>(
    _ target: String, method: String = "GET", fields: [String] = [], _ body: (Exchange) throws -> Result
  ) throws -> Result {
    let lines = ["\(method) \(target) HTTP/1.1", "Host: engram"] + fields
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    return try bytes.withUnsafeBytes { bytes in
      exchange.begin()
      var parser = HeadParser()
      guard case .head = parser.parse(bytes, into: &exchange.head) else {
        throw TestFailure("\(target) isn't a target")
      }
      exchange.headBytes = bytes
      return try body(exchange)
    }
  }
}
