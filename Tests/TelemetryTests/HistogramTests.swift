import Telemetry
import Testing

@Suite struct HistogramTests {
  @Test(arguments: Histogram.Scale.allCases)
  func boundsGrow(scale: Histogram.Scale) {
    for index in 1..<scale.bounds { #expect(scale.bound(index) > scale.bound(index - 1)) }
  }

  @Test func boundsAreWhereTheyShouldBe() {
    let seconds = Histogram.Scale.seconds
    #expect((0..<8).map(seconds.bound) == [1000, 1500, 2000, 3000, 4000, 6000, 8000, 12_000])
    #expect(seconds.bound(seconds.bounds - 1) == 67_108_864_000)
    #expect(Histogram.Scale.bytes.bound(0) == 16)
    #expect(Histogram.Scale.bytes.bound(22) == 64 << 20)
    #expect(Histogram.Scale.count.bound(0) == 1)
    #expect(Histogram.Scale.count.bound(16) == 65_536)
  }

  @Test(arguments: Histogram.Scale.allCases)
  func aValueLiesInTheFirstBucketThatHoldsIt(scale: Histogram.Scale) {
    for index in 0..<scale.bounds {
      let bound = scale.bound(index)
      let histogram = Histogram(scale)
      histogram.record(bound)
      #expect(histogram.count(inBucket: index) == 1)
      histogram.record(bound + 1)
      #expect(histogram.count(inBucket: index + 1) == 1)
      #expect(histogram.sum == 2 * bound + 1)
      #expect(histogram.count == 2)
    }
  }

  @Test func zeroAndTheGreatestHaveTheirPlace() {
    for scale in Histogram.Scale.allCases {
      let histogram = Histogram(scale)
      histogram.record(0)
      histogram.record(.max)
      #expect(histogram.count(inBucket: 0) == 1)
      #expect(histogram.count(inBucket: scale.bounds) == 1)
    }
  }

  @Test func quantilesAreUpperBounds() {
    let histogram = Histogram(.seconds)
    #expect(histogram.upperBound(ofQuantile: 0.5) == nil)
    for _ in 0..<98 { histogram.record(900) }
    histogram.record(5000)
    histogram.record(100_000_000_000)
    #expect(histogram.upperBound(ofQuantile: 0) == 1000)
    #expect(histogram.upperBound(ofQuantile: 0.5) == 1000)
    #expect(histogram.upperBound(ofQuantile: 0.99) == 6000)
    #expect(histogram.upperBound(ofQuantile: 1) == nil)
  }

  @Test func nothingIsLostBetweenThreads() async {
    let histogram = Histogram(.count)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask { for value in 1...1000 as ClosedRange<UInt64> { histogram.record(value) } }
      }
    }
    #expect(histogram.count == 4000)
    #expect(histogram.sum == 4 * 500_500)
  }
}
