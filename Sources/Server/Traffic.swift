internal import API
internal import Access
internal import Engine
internal import EventLoop
internal import Synchronization

/// What all loops hold requests against, besides who may do what: made from the configuration, immutable, and replaced
/// as a whole.
struct Traffic: Sendable {
  let rates: RateLimiter?
  let browser: BrowserRules

  init(_ configuration: Configuration) {
    self.init(
      configuration.rates, configuration.browser, isLoopback: configuration.isLoopback,
      isTLS: configuration.isTLS)
  }

  init(_ rates: RateSettings, _ browser: BrowserSettings, isLoopback: Bool, isTLS: Bool) {
    self.rates = RateLimiter(rates)
    self.browser = BrowserRules(browser, isLoopback: isLoopback, isTLS: isTLS)
  }

  private init(_ rates: RateLimiter?, _ browser: BrowserRules) {
    self.rates = rates
    self.browser = browser
  }

  /// The newer one; buckets stay as full as they are where rates stay the same.
  func followed(by newer: Traffic) -> Traffic {
    rates?.settings == newer.rates?.settings ? Traffic(rates, newer.browser) : newer
  }

  /// Loop thread, or before the loop runs.
  func give(to services: LoopServices) {
    services.rates = rates
    services.browser = browser
  }
}

extension Server {
  /// Has every loop act by the limits and the rules for browsers of `next` from its next turn on, and audit lines go
  /// to its file. Main thread; returns before the loops do.
  func adoptLimits(_ next: Configuration) {
    // Where the server listens doesn't change.
    let newer = Traffic(
      next.rates, next.browser, isLoopback: configuration.isLoopback, isTLS: configuration.isTLS)
    let traffic = traffic.withLock { traffic in
      traffic = traffic.followed(by: newer)
      return traffic
    }
    let limits = next.connections
    for acceptor in acceptors {
      acceptor.services.engine.loop.perform {
        traffic.give(to: acceptor.services)
        acceptor.adopt(limits)
      }
    }
    budget.setCaps(next.caps)
    let (engine, locks) = (engine, next.caps.locksPerAgentMax)
    engine.homeLoop.perform { engine.home.agentLocksMax = locks }
    audit.adopt(next.audit)
  }
}
