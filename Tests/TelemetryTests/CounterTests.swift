import Telemetry
import Testing

@Suite struct CounterTests {
  @Test func countersGrow() {
    let counter = Counter()
    counter.add()
    counter.add(41)
    #expect(counter.value == 42)
  }

  @Test func gaugesMoveBothWays() {
    let gauge = Gauge()
    gauge.add(3)
    gauge.subtract(5)
    #expect(gauge.value == -2)
    gauge.set(7)
    gauge.raise(to: 6)
    #expect(gauge.value == 7)
    gauge.raise(to: 9)
    #expect(gauge.value == 9)
  }

  @Test func nothingIsLostBetweenThreads() async {
    let counter = Counter()
    let gauge = Gauge()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<10_000 {
            counter.add()
            gauge.add(2)
            gauge.subtract()
          }
        }
      }
    }
    #expect(counter.value == 40_000)
    #expect(gauge.value == 40_000)
  }
}
