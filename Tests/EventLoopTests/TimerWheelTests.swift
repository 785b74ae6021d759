import Testing

@testable import EventLoop

struct TimerWheelTests {
  final class Target: TimerTarget {
    var fired: [UInt64] = []
    func timerFired(tag: UInt64) { fired.append(tag) }
  }

  private func fire(_ wheel: inout TimerWheel) {
    while let (target, tag) = wheel.popDue() { target.timerFired(tag: tag) }
  }

  @Test(
    arguments: [
      1, 2, 63, 64, 65, 127, 128, 4095, 4096, 4097, 262_143, 262_144, 300_000, 16_777_215, 16_777_216,
      40_000_000,
    ] as [UInt64])
  func `a timer fires at its tick, not before`(_ deadline: UInt64) {
    for start in [0, 1, 63, 64, 4095, 70_000] as [UInt64] {
      var wheel = TimerWheel()
      let target = Target()
      wheel.advance(to: start)
      _ = wheel.insert(deadline: start + deadline, target, tag: 7)
      wheel.advance(to: start + deadline - 1)
      fire(&wheel)
      #expect(target.fired == [], "from \(start)")
      wheel.advance(to: start + deadline)
      fire(&wheel)
      #expect(target.fired == [7], "from \(start)")
      #expect(wheel.next == nil)
      #expect(wheel.count == 0)
    }
  }

  @Test func `sleeping exactly until next reaches every timer in order`() {
    var wheel = TimerWheel(capacity: 2)
    let target = Target()
    var random = SystemRandomNumberGenerator()
    let deadlines = (0..<500).map { _ in UInt64.random(in: 1...600_000, using: &random) }
    for deadline in deadlines { _ = wheel.insert(deadline: deadline, target, tag: deadline) }
    var steps = 0
    while let next = wheel.next {
      wheel.advance(to: next)
      while let (target, tag) = wheel.popDue() {
        #expect(tag == wheel.tick)
        target.timerFired(tag: tag)
      }
      steps += 1
    }
    #expect(target.fired == deadlines.sorted())
    #expect(steps < 500 * 4)
  }

  @Test func `a long sleep makes all that passed due, in order`() {
    var wheel = TimerWheel()
    let target = Target()
    for deadline in [5000, 3, 70, 3] as [UInt64] {
      _ = wheel.insert(deadline: deadline, target, tag: deadline)
    }
    wheel.advance(to: 1_000_000)
    fire(&wheel)
    #expect(target.fired == [3, 3, 70, 5000])
  }

  @Test func `a cancelled timer is silent, and its id stays stale when the node is used again`() {
    var wheel = TimerWheel()
    let target = Target()
    let first = wheel.insert(deadline: 10, target, tag: 1)
    wheel.cancel(first)
    let second = wheel.insert(deadline: 10, target, tag: 2)
    #expect(first != second)
    wheel.cancel(first)
    wheel.cancel(.none)
    wheel.advance(to: 10)
    fire(&wheel)
    #expect(target.fired == [2])
    wheel.cancel(second)
    #expect(wheel.count == 0)
  }

  @Test func `a timer that is due can be cancelled by one that fires before it`() {
    var wheel = TimerWheel()
    let target = Target()
    _ = wheel.insert(deadline: 5, target, tag: 1)
    let second = wheel.insert(deadline: 5, target, tag: 2)
    wheel.advance(to: 5)
    #expect(wheel.popDue()?.tag == 1)
    wheel.cancel(second)
    #expect(wheel.popDue() == nil)
  }

  @Test func `a target lives no longer than its timers`() {
    var wheel = TimerWheel()
    weak var gone: Target?
    let id: TimerID
    do {
      let target = Target()
      gone = target
      id = wheel.insert(deadline: 5, target, tag: 0)
    }
    #expect(gone != nil)
    wheel.cancel(id)
    #expect(gone == nil)
  }

  @Test func `random sets, cancels and advances agree with a plain list`() {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = Seeded(state: seed)
    var wheel = TimerWheel(capacity: 4)
    let target = Target()
    var model: [UInt64: (UInt64, TimerID)] = [:]
    var tag: UInt64 = 0
    for _ in 0..<5000 {
      switch random.next() % 4 {
      case 0, 1:
        let deadline = wheel.tick + 1 + random.next() % (random.next() % 2 == 0 ? 80 : 300_000)
        model[tag] = (deadline, wheel.insert(deadline: deadline, target, tag: tag))
        tag += 1
      case 2:
        if let (tag, entry) = model.first {
          wheel.cancel(entry.1)
          model[tag] = nil
        }
      default:
        wheel.advance(to: wheel.tick + random.next() % 5000)
        target.fired = []
        fire(&wheel)
        let due = model.filter { $0.value.0 <= wheel.tick }
        #expect(Set(target.fired) == Set(due.keys))
        for key in due.keys { model[key] = nil }
      }
      #expect(wheel.count == model.count)
    }
  }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Seeded {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
