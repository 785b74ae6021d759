import Testing

@testable import Bytes

@Suite struct SecretBytesTests {
  @Test(arguments: [0, 1, 4096]) func holdsWhatItWasGiven(count: Int) {
    let source = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    let secret = source.withUnsafeBytes { SecretBytes(copying: $0) }
    withExtendedLifetime(secret) { #expect(secret.bytes.elementsEqual(source)) }
  }

  @Test func clearsWhatItIsGivenAndNoMore() {
    var bytes = [UInt8](repeating: 7, count: 64)
    bytes.withUnsafeMutableBytes {
      SecretBytes.clear(UnsafeMutableRawBufferPointer(rebasing: $0[8..<40]))
      SecretBytes.clear(UnsafeMutableRawBufferPointer(rebasing: $0[..<0]))
    }
    #expect(bytes.indices.allSatisfy { bytes[$0] == (8..<40 ~= $0 ? 0 : 7) })
  }
}
