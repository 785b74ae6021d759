internal import Bytes
public import Model

extension LockTable {
  /// Locks that a page passes over because its reader may not see them: about half a millisecond of the home's loop. Then
  /// the page ends, and the next one goes on behind the last of them.
  static let passedOverMax = 4096

  /// The lock on a path, if it is held.
  public func lock(_ path: UnsafeRawBufferPointer) -> LockState? {
    pathNumbers.find(path).flatMap { paths[$0].lock }
  }

  /// Whether a path is held under this fencing token.
  public func holds(_ path: UnsafeRawBufferPointer, token: UInt64) -> Bool {
    pathNumbers.find(path).map { paths[$0].lock?.token.rawValue == token } ?? false
  }

  /// Locks in the order of their paths, compared as bytes. Looks at no lock that isn't on the page, but for one search;
  /// with `agent` at all of the agent's.
  /// - Parameters:
  ///   - prefix: of the paths; empty: all.
  ///   - agent: who holds them; nil: all.
  ///   - after: where the last page ended (`LockPage.next`).
  ///   - limit: locks of the page, from 1.
  ///   - bytesMax: the page ends before names and metadata come to more, but has one lock.
  ///   - visibility: what of them may be seen; the rest is passed over, and `next` may then name what may not. Nil: all.
  public func list(
    prefix: [UInt8] = [], agent: [UInt8]? = nil, after: [UInt8]? = nil, limit: Int,
    bytesMax: Int = Limits.pageBytesMax, sees visibility: (any Visibility)? = nil
  ) -> LockPage {
    var page = LockPage(locks: [], next: nil)
    var bytes = 0
    var left = Self.passedOverMax
    /// False if the page is full.
    func add(_ path: [UInt8]) -> Bool {
      if let visibility, !path.withUnsafeBytes({ visibility.sees(lock: $0) }) {
        left -= 1
        if left == 0 { page.next = path }
        return left > 0
      }
      guard let lock = path.withUnsafeBytes({ self.lock($0) }) else { return true }
      bytes += Self.bytes(of: lock.path, lock.holder, lock.metadata)
      if let last = page.locks.last, page.locks.count >= limit || bytes > bytesMax {
        page.next = last.path
        return false
      }
      page.locks.append(lock)
      return true
    }
    if let agent {
      for path in heldPaths(agent, prefix, after) where !add(path) { break }
      return page
    }
    var place = order.start(at: prefix, isBehind: false)
    if let after, !PathOrder.precedes(after, prefix) { place = order.start(at: after, isBehind: true) }
    while let path = order.next(&place), path.starts(with: prefix), add(path) {}
    return page
  }

  private func heldPaths(_ agent: [UInt8], _ prefix: [UInt8], _ after: [UInt8]?) -> [[UInt8]] {
    guard let number = agent.withUnsafeBytes({ agentNumbers.find($0) }) else { return [] }
    return agents[number].held.map { pathNumbers.key($0) }
      .filter { path in
        path.starts(with: prefix) && after.map { PathOrder.precedes($0, path) } ?? true
      }
      .sorted { PathOrder.precedes($0, $1) }
  }

  // MARK: Recovery

  /// Takes in an event of a lock that the log holds, in the order of the log; `restart` follows before any command.
  /// Again or late, it changes nothing: of two locks of one path the one with the higher token came later.
  public mutating func restore(_ action: LockAction, _ lock: LockState) {
    let known = lock.path.withUnsafeBytes { self.lock($0) }
    if let known, known.token > lock.token { return }
    switch action {
    case .acquired, .renewed:
      let number = number(of: lock.path)
      if let known, known.token == lock.token, known.holder == lock.holder {
        bytes += lock.metadata.count - known.metadata.count
        return set(number, lock, until: .max)
      }
      if known != nil { _ = drop(number) }
      hold(self.number(of: lock.path), agentNumber(of: lock.holder), lock, until: .max)
    case .released, .expired:
      guard known?.token == lock.token else { return }
      _ = drop(number(of: lock.path))
    }
  }

  /// A start: every lock gets its full time to live anew, from now on, and no less than was promised.
  public mutating func restart(_ moment: LockMoment) {
    for number in paths.indices {
      guard var lock = paths[number].lock else { continue }
      let promised =
        lock.expiresAt.microseconds - min(lock.expiresAt.microseconds, moment.logTime.microseconds)
      let lifetime = max(lock.ttlMicroseconds, promised)
      lock.expiresAt = LogTime(microseconds: Self.sum(moment.logTime.microseconds, lifetime))
      set(number, lock, until: Self.deadline(moment.monotonic, lifetime))
    }
    // Nobody waits during a start: what `drop` noted while events were replayed concerns nobody.
    candidates.removeAll()
    suspects.removeAll()
  }
}
