import Bytes
import Testing

/// A queue that wraps and grows against an array that does the same.
@Suite struct RingTests {
  @Test func keepsOrderAcrossWrapAndGrowth() {
    var random = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: .min ... .max, using: &random)
    var state = seed
    func next(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    var ring = Ring<String>()
    var model: [String] = []
    for step in 0..<20_000 {
      // Phases of growth and of shrinking, so that the head stands everywhere when the ring grows.
      if next(100) < (step / 2000 % 2 == 0 ? 60 : 45) {
        ring.append("\(step)")
        model.append("\(step)")
      } else {
        #expect(ring.popFirst() == (model.isEmpty ? nil : model.removeFirst()), "seed \(seed)")
      }
      #expect(
        ring.count == model.count && ring.first == model.first && ring.last == model.last, "seed \(seed)")
    }
    for offset in model.indices { #expect(ring[offset] == model[offset], "seed \(seed)") }
    ring.removeAll()
    #expect(ring.isEmpty && ring.first == nil && ring.last == nil && ring.popFirst() == nil)
  }

  @Test func copiesAreApart() {
    var one = Ring<Int>()
    for n in 0..<20 { one.append(n) }
    let other = one
    for _ in 0..<5 { _ = one.popFirst() }
    for n in 20..<60 { one.append(n) }
    #expect(other.count == 20 && other.first == 0 && other.last == 19)
    #expect(one.count == 55 && one.first == 5 && one.last == 59)
  }
}
