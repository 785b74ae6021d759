/// One thing that is measured, and what it may allocate.
public struct Workload: Sendable {
  /// How many operations make a pass: so many that reading the clock doesn't show.
  public enum Operations: Int, Sendable { case one = 1, thousand = 1000 }

  /// Passes after which what grows with its first uses has grown.
  public static let warmupPasses = 5

  /// Group, a dot, and what is done.
  public let name: String
  public let operations: Operations
  /// Allocations of a pass in the steady state, at most; nil: they are reported only.
  public let allocationsMax: Int?
  private let pass: @Sendable () throws -> any Pass

  init(
    _ name: String, _ operations: Operations = .thousand, allocationsMax: Int? = nil,
    _ pass: @escaping @Sendable () throws -> any Pass
  ) {
    self.name = name
    self.operations = operations
    self.allocationsMax = allocationsMax
    self.pass = pass
  }

  /// Makes what it works on, ready for the first pass.
  public func make() throws -> any Pass { try pass() }

  /// Allocates once in each operation: whoever checks allocations has to find that out first.
  public static let saboteur = Workload("counter.one allocation", allocationsMax: 0) {
    var kept: [UnsafeMutableRawPointer] = []
    return Repeated { operations in
      for _ in 0..<operations { kept.append(.allocate(byteCount: 64, alignment: 16)) }
      for memory in kept { memory.deallocate() }
      kept.removeAll(keepingCapacity: true)
    }
  }

  public static var all: [Workload] {
    http + json + checksums + records + commits + windows + stores
  }
}

/// A workload's state. One thread.
public protocol Pass: AnyObject {
  /// Gets ready for the next `run`; not measured.
  func prepare(_ operations: Int) throws
  /// Does so many operations and checks that they did what they should.
  func run(_ operations: Int) throws
}

extension Pass {
  public func prepare(_ operations: Int) {}
}

/// A pass that needs nothing made anew.
final class Repeated: Pass {
  private let body: (Int) throws -> Void

  init(_ body: @escaping (Int) throws -> Void) { self.body = body }

  func run(_ operations: Int) throws { try body(operations) }
}

/// What was measured didn't happen as it should: its figures mean nothing.
struct Unexpected: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

func expect(_ holds: Bool, _ what: @autoclosure () -> String) throws {
  if !holds { throw Unexpected(what()) }
}

/// Bytes that stay where they are.
final class Memory {
  let bytes: UnsafeMutableRawBufferPointer
  var raw: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }
  var base: UnsafeMutableRawPointer { bytes.baseAddress.unsafelyUnwrapped }

  /// - Parameter count: more than none.
  init(count: Int) {
    bytes = .allocate(byteCount: count, alignment: 64)
    for index in 0..<count { bytes[index] = UInt8(truncatingIfNeeded: index &* 131 ^ index >> 3) }
  }

  init(_ text: String) {
    let utf8 = [UInt8](text.utf8)
    bytes = .allocate(byteCount: utf8.count, alignment: 64)
    bytes.copyBytes(from: utf8)
  }

  deinit { bytes.deallocate() }
}
