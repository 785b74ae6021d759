internal import Model
internal import Search
internal import Storage

/// How a search is asked for a reader who may not see everything. Where it is known which contexts that reader sees, the
/// index is asked for these alone; else each match is looked up in the store before it counts.
struct RestrictedSearch {
  /// Contexts of the store that are looked at to find those that the reader sees: about a millisecond.
  static let contextsLookedAtMax = 512
  /// An id that no context has.
  private static let nobody: [[UInt8]] = [[]]

  let screen: HitScreen
  /// The contexts that were asked for are all that the reader sees up to here; nil: no matter how far.
  let known: Position?

  /// Leaves only contexts in `query` that the reader sees. Any thread; reads the disk.
  /// - Parameter indexed: how far the index is at least.
  init(
    _ query: inout SearchQuery, _ visibility: any Visibility, _ store: any EventStore, indexed: Position
  ) throws(SearchError) {
    var known: Position?
    if !query.contexts.isEmpty {
      // Those that are hidden are searched like those that don't exist, and find as little.
      query.contexts.removeAll { !$0.withUnsafeBytes { visibility.sees(context: $0) } }
      if query.contexts.isEmpty { query.contexts = RestrictedSearch.nobody }
    } else if let seen = try RestrictedSearch.contexts(visibility, store) {
      query.contexts = seen.isEmpty ? RestrictedSearch.nobody : seen
      known = indexed
    }
    let contexts = query.contexts
    self.known = known
    screen = HitScreen(isNarrow: !contexts.isEmpty) { position throws(SearchError) in
      var isSeen = false
      do throws(StoreError) {
        _ = try store.context(ofUnitAt: position) { context in
          // The index knows contexts by fingerprints, which somebody may have made to collide.
          isSeen =
            contexts.isEmpty
            ? visibility.sees(context: context) : contexts.contains { $0.elementsEqual(context) }
        }
      } catch {
        throw SearchError(.operational, operation: "find a unit's context", message: "\(error)")
      }
      return isSeen
    }
  }

  /// All contexts that the reader sees; nil: they are too many to be found out, or to be asked for.
  private static func contexts(
    _ visibility: any Visibility, _ store: any EventStore
  ) throws(SearchError) -> [[UInt8]]? {
    var seen: Set<[UInt8]> = []
    var lookedAt = 0
    for prefix in visibility.contextPrefixes {
      var end = ScanEnd.exhausted
      do throws(StoreError) {
        end = try store.contexts(after: nil, prefix: prefix, limit: .max) { record, _ in
          lookedAt += 1
          if let id = record.contextID, visibility.sees(context: id) { seen.insert(Array(id)) }
          return lookedAt < contextsLookedAtMax && seen.count <= Limits.searchContextsMax
        }
      } catch {
        throw SearchError(.operational, operation: "list contexts", message: "\(error)")
      }
      guard end == .exhausted, seen.count <= Limits.searchContextsMax else { return nil }
    }
    return Array(seen)
  }
}
