import HTTP
import Testing

@Suite struct WebSocketClosingTests {
  private typealias Machine = WebSocketClosing
  private static let max = WebSocketClosing.nanosecondsMax

  enum Start: CaseIterable { case open, answering, closing, ended }
  enum Input: CaseIterable {
    case close, received, receivedWhileOwing, settled, failed, inputEnded, early, late
  }

  private func machine(_ start: Start) -> WebSocketClosing {
    var machine = WebSocketClosing()
    switch start {
    case .open: break
    case .answering: _ = machine.received(.normal, owes: true, now: 100)
    case .closing: _ = machine.close(.goingAway, now: 100)
    case .ended: _ = machine.inputEnded()
    }
    return machine
  }

  private func feed(_ input: Input, _ machine: inout WebSocketClosing) -> WebSocketClosing.Action {
    switch input {
    case .close: machine.close(.goingAway, now: 200)
    case .received: machine.received(.init(rawValue: 3000), owes: false, now: 200)
    case .receivedWhileOwing: machine.received(.init(rawValue: 3000), owes: true, now: 200)
    case .settled: machine.settled()
    case .failed: machine.failed(.invalidText)
    case .inputEnded: machine.inputEnded()
    case .early: machine.tick(now: 99 + WebSocketClosing.nanosecondsMax)
    case .late: machine.tick(now: 100 + WebSocketClosing.nanosecondsMax)
    }
  }

  static let table: [(Start, Input, WebSocketClosing.Action, Start)] = [
    (.open, .close, .send(.goingAway), .closing),
    (.open, .received, .sendAndEnd(.init(rawValue: 3000)), .ended),
    (.open, .receivedWhileOwing, .none, .answering),
    (.open, .settled, .none, .open),
    (.open, .failed, .sendAndEnd(.invalidText), .ended),
    (.open, .inputEnded, .end, .ended),
    (.open, .early, .none, .open), (.open, .late, .none, .open),
    (.answering, .close, .sendAndEnd(.goingAway), .ended),
    (.answering, .received, .none, .answering), (.answering, .receivedWhileOwing, .none, .answering),
    (.answering, .settled, .sendAndEnd(.normal), .ended),
    (.answering, .failed, .sendAndEnd(.invalidText), .ended),
    (.answering, .inputEnded, .end, .ended),
    (.answering, .early, .none, .answering), (.answering, .late, .sendAndEnd(.normal), .ended),
    (.closing, .close, .none, .closing),
    (.closing, .received, .end, .ended), (.closing, .receivedWhileOwing, .end, .ended),
    (.closing, .settled, .none, .closing),
    (.closing, .failed, .end, .ended), (.closing, .inputEnded, .end, .ended),
    (.closing, .early, .none, .closing), (.closing, .late, .end, .ended),
    (.ended, .close, .none, .ended), (.ended, .received, .none, .ended),
    (.ended, .receivedWhileOwing, .none, .ended),
    (.ended, .settled, .none, .ended), (.ended, .failed, .none, .ended), (.ended, .inputEnded, .none, .ended),
    (.ended, .early, .none, .ended), (.ended, .late, .none, .ended),
  ]

  @Test func theTableIsWhole() {
    #expect(Self.table.count == Start.allCases.count * Input.allCases.count)
    for start in Start.allCases {
      for input in Input.allCases { #expect(Self.table.filter { $0.0 == start && $0.1 == input }.count == 1) }
    }
  }

  @Test(arguments: table)
  func each(start: Start, input: Input, action: WebSocketClosing.Action, end: Start) {
    var machine = machine(start)
    #expect(feed(input, &machine) == action)
    #expect(machine.maySend == (end == .open || end == .answering))
    #expect(machine.listens == (end == .open))
    #expect(machine.isEnded == (end == .ended))
    #expect((machine.deadline == nil) == (end == .open || end == .ended))
  }

  /// Whatever happens, in whatever order: one close frame at most, none after the end, and the end comes in time.
  @Test func atMostOneCloseFrameIsSent() {
    let all = Input.allCases
    for first in all {
      for second in all {
        for third in all {
          for fourth in all {
            var machine = WebSocketClosing()
            var frames = 0
            var ends = 0
            for input in [first, second, third, fourth, .close, .late, .late] {
              switch feed(input, &machine) {
              case .none: break
              case .send: frames += 1
              case .sendAndEnd:
                frames += 1
                ends += 1
              case .end: ends += 1
              }
              if machine.deadline.map({ $0 > 200 + Self.max }) == true {
                Issue.record("a deadline that moves")
              }
            }
            _ = machine.tick(now: 200 + Self.max)
            if frames > 1 || ends > 1 || !machine.isEnded {
              Issue.record("\([first, second, third, fourth])")
            }
          }
        }
      }
    }
  }

  @Test func anAnswerWithoutCodeHasNone() {
    var machine = WebSocketClosing()
    #expect(machine.received(nil, owes: false, now: 0) == .sendAndEnd(nil))
  }
}

@Suite struct WebSocketHeartbeatTests {
  private static let beat = WebSocketHeartbeat.beatNanoseconds
  private static let silence = WebSocketHeartbeat.silenceNanoseconds

  /// Ticks at each deadline until the peer counts as silent: when that was, and when it was pinged.
  private func run(
    from start: UInt64, phase: UInt64, hearing: Set<UInt64> = [], until end: UInt64 = .max
  ) -> (beats: [UInt64], silent: UInt64?) {
    var heartbeat = WebSocketHeartbeat(now: start, phase: phase)
    var beats: [UInt64] = []
    var pending = hearing.sorted()
    while heartbeat.deadline <= end {
      while let next = pending.first, next <= heartbeat.deadline {
        heartbeat.hear(now: next)
        pending.removeFirst()
      }
      let now = heartbeat.deadline
      guard now <= end else { break }
      switch heartbeat.tick(now: now, isListening: true) {
      case .beat: beats.append(now)
      case .silent: return (beats, now)
      case .none: break
      }
    }
    return (beats, nil)
  }

  @Test(arguments: [0, 1, 7_000_000_000, 14_999_999_999, 15_000_000_000, .max] as [UInt64])
  func aSilentPeerIsPingedThreeTimesAndClosed(phase: UInt64) {
    let (beats, silent) = run(from: 1000, phase: phase)
    #expect(silent == 1000 + Self.silence)
    #expect(beats.count == 3 || (beats.count == 2 && beats[0] == 1000 + Self.beat))
    #expect(beats[0] > 1000 && beats[0] <= 1000 + Self.beat)
    for (one, next) in zip(beats, beats.dropFirst()) { #expect(next - one == Self.beat) }
  }

  @Test func aPeerThatAnswersStays() {
    let heard = Set((1...100).map { UInt64($0) * 40_000_000_000 })
    let (beats, silent) = run(from: 0, phase: 5, hearing: heard, until: 4_000_000_000_000)
    #expect(silent == nil)
    #expect(beats.count == 267)
  }

  @Test func silenceIsCountedFromTheLastByte() {
    let (_, silent) = run(from: 0, phase: 5, hearing: [44_999_999_999])
    #expect(silent == 44_999_999_999 + Self.silence)
  }

  /// Nor is it silent afterwards for what it could not say then, where its last byte is what is told again.
  @Test func whatWasHeardEarlierChangesNothing() {
    var heartbeat = WebSocketHeartbeat(now: 0, phase: 0)
    _ = heartbeat.tick(now: 2 * Self.silence, isListening: false)
    heartbeat.hear(now: 1)
    #expect(heartbeat.tick(now: 3 * Self.silence - 1, isListening: true) != .silent)
    #expect(heartbeat.tick(now: 3 * Self.silence, isListening: true) == .silent)
  }

  @Test func phasesSpreadTheFirstBeat() {
    let first = Set((0..<1000).map { run(from: 0, phase: $0 * 15_000_000, until: Self.beat).beats.first })
    #expect(first.count == 1000)
  }

  /// While nothing is read, because its answers wait to be taken, nothing can be heard.
  @Test func aPeerThatIsNotListenedToIsNotSilent() {
    var heartbeat = WebSocketHeartbeat(now: 0, phase: 0)
    #expect(heartbeat.tick(now: 100 * Self.silence, isListening: false) == .beat)
    #expect(heartbeat.tick(now: 101 * Self.silence - 1, isListening: true) != .silent)
    #expect(heartbeat.tick(now: 101 * Self.silence, isListening: true) == .silent)
  }

  @Test func missedBeatsAreNotMadeUpFor() {
    var heartbeat = WebSocketHeartbeat(now: 0, phase: 0)
    let late = 2 * Self.beat + 5
    #expect(heartbeat.tick(now: late, isListening: true) == .beat)
    #expect(heartbeat.tick(now: late, isListening: true) == .none)
    #expect(heartbeat.deadline == min(late + Self.beat, Self.silence))
  }
}
