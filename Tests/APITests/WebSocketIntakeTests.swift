import Testing

@testable import API

@Suite struct WebSocketIntakeTests {
  @Test func `held bytes are shown from the first that nobody is done with`() {
    var held = HeldInput()
    for part: [UInt8] in [[1, 2, 3], [4, 5]] { part.withUnsafeBytes { held.append($0) } }
    var shown: [[UInt8]] = []
    for done in [2, 0, 3] {
      held.take {
        shown.append(Array($0))
        return done
      }
    }
    #expect(shown == [[1, 2, 3, 4, 5], [3, 4, 5], [3, 4, 5]])
    #expect(held.count == 0)
  }

  @Test func `what is left of a turn comes back with the next one`() {
    var allowance = TurnAllowance()
    allowance.begin(turn: 1)
    let whole = allowance.left
    allowance.left = 0
    allowance.begin(turn: 1)
    #expect(allowance.left == 0)
    allowance.begin(turn: 2)
    #expect(allowance.left == whole && whole > 0)
  }
}
