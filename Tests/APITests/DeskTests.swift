import Engine
import EventLoop
import Testing

@testable import API

@Suite struct DeskTests {
  @Test func `a desk leaves nothing behind`() throws {
    weak var loop: EventLoop?
    weak var engine: LiveEngine?
    weak var home: Home?
    weak var own: LoopEngine?
    weak var services: LoopServices?
    do {
      let desk = try WebSocketDesk()
      loop = desk.loop
      engine = desk.engine
      home = desk.engine.home
      own = desk.engine.engines[0]
      services = desk.services
    }
    let servicesGone = services == nil
    #expect(servicesGone)
    let ownGone = own == nil
    #expect(ownGone)
    let engineGone = engine == nil
    #expect(engineGone)
    let homeGone = home == nil
    #expect(homeGone)
    let loopGone = loop == nil
    #expect(loopGone)
  }
}
