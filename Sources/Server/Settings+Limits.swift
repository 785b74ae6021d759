internal import Access
internal import Settings

// `[limits]` and `[browser]` as those take them who act by them.

extension RateSettings {
  init(_ settings: Settings) {
    self.init()
    func rate(_ perSecond: Key<Int>, _ burst: Key<Int>) -> Rate {
      Rate(perSecond: UInt64(settings[perSecond]), burst: UInt64(settings[burst]))
    }
    agent.requests = rate(Schema.agentRequests, Schema.agentRequestBurst)
    agent.bytes = rate(Schema.agentBytes, Schema.agentByteBurst)
    agent.publishes = rate(Schema.agentPublishes, Schema.agentPublishBurst)
    agent.searches = rate(Schema.agentSearches, Schema.agentSearchBurst)
    address.requests = rate(Schema.addressRequests, Schema.addressRequestBurst)
    address.bytes = rate(Schema.addressBytes, Schema.addressByteBurst)
    address.publishes = rate(Schema.addressPublishes, Schema.addressPublishBurst)
    address.searches = rate(Schema.addressSearches, Schema.addressSearchBurst)
    // Without authentication nobody fails, and nobody needs to look.
    if settings.isAuthenticationOn {
      address.failures = rate(Schema.addressFailures, Schema.addressFailureBurst)
    }
  }
}

extension CapSettings {
  init(_ settings: Settings) {
    self.init()
    connectionsPerAddressMax = settings[Schema.connectionsPerAddressMax]
    connectionsPerAgentMax = settings[Schema.connectionsPerAgentMax]
    subscriptionsPerAgentMax = settings[Schema.subscriptionsPerAgentMax]
    locksPerAgentMax = settings[Schema.locksPerAgentMax]
    inflightBytesPerAddressMax = settings[Schema.inflightBytesPerAddressMax]
    inflightBytesPerAgentMax = settings[Schema.inflightBytesPerAgentMax]
  }
}

extension BrowserSettings {
  init(_ settings: Settings) {
    self.init()
    origins = settings[Schema.origins]
    hosts = settings[Schema.hosts]
    corsOrigins = settings[Schema.corsOrigins]
    corsCredentials = settings[Schema.corsCredentials]
    corsMaxAgeSeconds = UInt64(settings[Schema.corsMaxAgeSeconds])
  }
}
