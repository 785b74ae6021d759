internal import Model

/// Who waits for a position, such as the newest that is applied, to be reached. A value; whoever holds it guards it.
struct PositionWaiters {
  /// What a wait is cancelled by.
  typealias Ticket = UInt64

  private struct Waiter {
    var ticket: Ticket
    var position: Position
    var body: @Sendable () -> Void
  }

  private var waiters: [Waiter] = []
  private var lastTicket: Ticket = 0

  var isEmpty: Bool { waiters.isEmpty }

  /// The highest position up to `head` that somebody waits for.
  func newest(through head: Position) -> Position? {
    var newest: Position?
    for waiter in waiters where waiter.position <= head && waiter.position > newest ?? .zero {
      newest = waiter.position
    }
    return newest
  }

  mutating func add(_ position: Position, _ body: @escaping @Sendable () -> Void) -> Ticket {
    lastTicket += 1
    waiters.append(Waiter(ticket: lastTicket, position: position, body: body))
    return lastTicket
  }

  /// Forgets a wait. False: it has ended already, and its body was or will be called.
  mutating func remove(_ ticket: Ticket) -> Bool {
    guard let place = waiters.firstIndex(where: { $0.ticket == ticket }) else { return false }
    waiters.remove(at: place)
    return true
  }

  /// Takes those out who wait for `position` or less, in the order in which they came: the caller calls them.
  mutating func release(through position: Position) -> [@Sendable () -> Void] {
    guard waiters.contains(where: { $0.position <= position }) else { return [] }
    let released = waiters.filter { $0.position <= position }.map(\.body)
    waiters.removeAll { $0.position <= position }
    return released
  }
}
