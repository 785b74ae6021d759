import Model
import Search
import Testing

@Suite struct SearchResumeTests {
  @Test func pagesOfOneQueryAreTheSameExactlyIfAllOfThemIs() {
    let statistics = RankingStatistics(averageLength: 12.5, weights: [1, 0.25])
    let resume = SearchResume(through: Position(9), position: Position(4), score: 1.5, statistics: statistics)
    var other = resume
    #expect(other == resume)
    other.statistics?.weights[1] = 0.5
    #expect(other != resume)
  }
}
