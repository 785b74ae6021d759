internal import Bytes
package import Model
internal import Storage

/// What a look-up in the store came to.
enum Loaded<Value: Sendable>: Sendable {
  case found(Value)
  case notFound
  /// Memory alone can't tell.
  case incomplete
  case failed(Problem)
}

/// A context as the store has it.
struct LoadedContext: Sendable {
  var state: ContextState
  var lastPosition: Position
}

extension Home {
  /// Asks the store, and makes of what it found what memory wants.
  static func ask<Stored, Value>(
    _ look: () throws(StoreError) -> Lookup<Stored>, _ use: (Stored) -> Loaded<Value>
  ) -> Loaded<Value> {
    do throws(StoreError) {
      switch try look() {
      case .found(let stored): return use(stored)
      case .notFound: return .notFound
      case .incomplete: return .incomplete
      }
    } catch {
      return .failed(Home.unreadable(error))
    }
  }

  /// The content hash of a stored unit. Any thread for `.disk`.
  static func find(_ id: UnitID, in store: any EventStore, tier: ReadTier) -> Loaded<ContentHash> {
    ask({ () throws(StoreError) in try store.location(of: id, tier: tier) }) { .found($0.hash) }
  }

  /// A context with everything that the sequencer decides by. Any thread for `.disk`.
  static func load(
    _ id: UnsafeRawBufferPointer, from store: any EventStore, tier: ReadTier
  ) -> Loaded<LoadedContext> {
    ask({ () throws(StoreError) in try store.contextHead([UInt8](id), tier: tier) }) { decode($0, id) }
  }

  private static func decode(
    _ stored: StoredContext, _ id: UnsafeRawBufferPointer
  ) -> Loaded<LoadedContext> {
    var state = ResidentContext(new: id).state
    var position = stored.head.position
    if !stored.record.isEmpty {
      let decoded = stored.record.withUnsafeBytes { bytes in
        EventView(bytes).flatMap { event in ContextState(event).map { ($0, event.position) } }
      }
      guard let decoded else {
        return .failed(Problem(.internal, "the store's record of a context can't be read"))
      }
      state = decoded.0
      position = max(position, decoded.1)
    }
    if stored.head.lastSequence > state.lastSequence { state.lastSequence = stored.head.lastSequence }
    return .found(LoadedContext(state: state, lastPosition: position))
  }

  /// What is known of a context, in memory or else in the store; nil if it can't be told. Blocks.
  package func knownContext(_ id: [UInt8]) -> ContextState? {
    id.withUnsafeBytes { id in
      if let resident = sequencer.contexts.find(id) { return resident.state }
      guard case .found(let loaded) = Home.load(id, from: store, tier: .disk) else { return nil }
      return loaded.state
    }
  }

  static func unreadable(_ error: StoreError) -> Problem {
    Problem(.unavailable, "the store can't be read: \(error.message)")
  }
}
