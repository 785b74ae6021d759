internal import API
internal import Engine
internal import Model
internal import Synchronization
internal import Telemetry

/// What the server says about itself. Any thread.
final class ServerStatus: ServiceStatus {
  let version: String
  let isServing = Atomic<Bool>(false)
  private let engine: LiveEngine
  private let registry: Registry

  init(version: String, engine: LiveEngine, registry: Registry) {
    self.version = version
    self.engine = engine
    self.registry = registry
  }

  var isReady: Bool { isServing.load(ordering: .acquiring) && engine.isReady }

  var checks: [ReadinessCheck] {
    let state = engine.state
    return [
      ReadinessCheck("recovered", isServing.load(ordering: .acquiring), "the log was read to its end"),
      ReadinessCheck("log", state.logFailure == nil, state.logFailure == nil ? "writable" : "failed"),
      ReadinessCheck(
        "space", !state.isSpaceShort, state.isSpaceShort ? "free space is below its limit" : "enough"),
      ReadinessCheck("store", state.isStoreHealthy, state.storeDetail),
      ReadinessCheck(
        "load", !state.isOverloaded, state.isOverloaded ? "writes are refused" : "below the limits"),
      ReadinessCheck("lifecycle", !state.isDraining, state.isDraining ? "stopping" : "serving"),
      ReadinessCheck("search", true, search),
    ]
  }

  /// The index is never a reason not to be ready: what is written is safe without it, and it catches up.
  private var search: String {
    guard let indexer = engine.indexer else { return "off" }
    let (indexed, head) = (indexer.indexedPosition.rawValue, indexer.head.rawValue)
    let state = indexer.isFailing ? "failing" : indexer.isRebuilding ? "rebuilding" : "following"
    return "\(state), \(indexed) of \(max(indexed, head)) events indexed"
  }

  var exposition: [UInt8] { registry.render() }
}
