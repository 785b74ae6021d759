internal import Glibc

/// The target that this process runs: named by `ENGRAM_FUZZ`, once, before the first input.
nonisolated(unsafe) private var target = Target.planted

/// libFuzzer calls it first.
@c(LLVMFuzzerInitialize)
public func initialize(
  _ count: UnsafeMutablePointer<Int32>, _ arguments: UnsafeMutableRawPointer
) -> Int32 {
  let name = getenv("ENGRAM_FUZZ").map { String(cString: $0) } ?? ""
  guard let found = Target(rawValue: name) else {
    let names = Target.allCases.map(\.rawValue).joined(separator: ", ")
    complain("ENGRAM_FUZZ is \"\(name)\", and must be one of: \(names)")
    exit(64)
  }
  target = found
  Fenced.rewind()
  target.prove()
  return 0
}

/// libFuzzer calls it with each input, on one thread. What is wrong with what was read ends the process, and libFuzzer
/// keeps the input.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  Fenced.rewind()
  let input = start.map { [UInt8](UnsafeBufferPointer(start: $0, count: count)) } ?? []
  target.run(input)
  return 0
}
