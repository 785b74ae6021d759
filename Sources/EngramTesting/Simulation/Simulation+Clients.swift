internal import Bytes
internal import Engine
internal import Model
internal import Storage

/// What clients do, and what they may be told.
extension Simulation {
  func post(_ process: SimulatedProcess) {
    let index = draw.below(clients.count)
    guard !clients[index].isWaiting else { return }
    let post: Post
    if let again = clients[index].post {
      post = again
      trace.note(.retry, UInt64(index))
    } else if let repeated = repeated(index) {
      post = repeated
    } else {
      post = fresh()
    }
    submit(post, by: index, to: process)
  }

  /// A new request: mostly one unit, of no telling size.
  private func fresh() -> Post {
    let count = draw.oneIn(4) ? 1 + draw.below(Post.unitsMax) : 1
    let agent = Post.name("a", draw.below(Post.agents))
    let units = (0..<count).map { _ in
      freshUnit(by: draw.oneIn(3) ? Post.name("a", draw.below(Post.agents)) : agent, isOneOfMany: count > 1)
    }
    return Post(units, key: draw.oneIn(3) ? Post.name("k", draw.below(40)) : nil, print: draw.next())
  }

  private func freshUnit(by agent: [UInt8], isOneOfMany: Bool) -> PostedUnit {
    let size =
      switch draw.below(isOneOfMany ? 480 : 48) {
      case 0: 66_000
      case 1...2: 20_000 + draw.below(38_000)
      case 3...8: 2_000 + draw.below(14_000)
      default: draw.below(1_500)
      }
    let context = Post.name("c", draw.below(Post.contexts))
    var expected: UInt64?
    if draw.oneIn(isOneOfMany ? 15 : 5) {
      let known = model.contexts[context]?.state.lastSequence.rawValue ?? 0
      expected = max(1, known + UInt64(draw.below(3)))
    }
    return PostedUnit(
      id: draw.oneIn(3) ? chooseID() : nil, context: context, agent: agent, payloadBytes: size,
      salt: draw.below(4096), expectedSequence: expected, fence: drawFence(isOneOfMany))
  }

  /// A lock that is held in durable history, or one that was, or that never was. No token that may still be granted: a
  /// refusal could not be judged.
  private func drawFence(_ isOneOfMany: Bool) -> (path: [UInt8], token: UInt64)? {
    guard draw.oneIn(isOneOfMany ? 24 : 5), model.head > .zero else { return nil }
    let held = model.locks.all
    if !held.isEmpty, !draw.oneIn(5) {
      let lock = held[draw.below(held.count)]
      return (lock.path, lock.token.rawValue)
    }
    return (Self.path(draw.below(LockClient.paths)), 1 + draw.next() % model.head.rawValue)
  }

  /// An id of the client's own: of about now, or of any time.
  private func chooseID() -> UnitID {
    let time = draw.oneIn(3) ? draw.next() % (clock * 2) : clock + UInt64(draw.below(500_000))
    let id = UnitID.make(logTime: LogTime(microseconds: time), random: draw.next())
    model.chosen.insert(id)
    return id
  }

  /// A request that this or another client has posted before, or one that contradicts it.
  private func repeated(_ index: Int) -> Post? {
    guard draw.oneIn(5) else { return nil }
    let other = draw.below(clients.count)
    // Also while the other one still waits for its answer.
    let known = clients[other].post.map { $0.isRepeatable ? [$0] : [] } ?? []
    let posts = clients[other].answered + known
    guard !posts.isEmpty else { return nil }
    let post = posts[draw.below(posts.count)]
    return draw.oneIn(4) ? post.contradicting(&draw) : post
  }

  private func submit(_ post: Post, by index: Int, to process: SimulatedProcess) {
    let request = AppendRequest(loop: clients[index].loop)
    if let problem = post.fill(request) { return violate("a valid post is refused: \(problem.detail)") }
    clients[index].post = post
    clients[index].request = request
    clients[index].wasKnown = post.units.contains { $0.id.map { model.units[$0] != nil } ?? false }
    trace.note(.post, UInt64(index), UInt64(post.payload))
    process.home.submit(request)
  }

  // MARK: Answers

  func answered(_ request: AppendRequest) {
    guard let index = clients.firstIndex(where: { $0.request === request }) else {
      return violate("an append is answered twice, or by a process that is dead")
    }
    let client = clients[index]
    clients[index].request = nil
    guard let post = client.post, let outcome = request.outcome else {
      return violate("an append is completed without an outcome")
    }
    switch outcome {
    case .appended:
      counts.appended += 1
      trace.note(.appended, UInt64(index), request.unit(0)?.position.rawValue ?? 0)
      if let problem = objection(to: post, request, client) { violate(problem) }
      if post.units.contains(where: { $0.fence != nil }) { counts.fenced += 1 }
      settle(index, post)
    case .exists:
      counts.exists += 1
      trace.note(.exists, UInt64(index))
      if !areDurable(post, request) {
        violate("told that units exist which aren't durable, or aren't the same")
      }
      settle(index, post)
    case .answered(let positions):
      counts.answered += 1
      trace.note(.exists, UInt64(index), positions.lowerBound.rawValue)
      if let problem = objection(to: positions, for: post, request) { violate(problem) }
      settle(index, post)
    case .refused(let problem):
      counts.refused += 1
      trace.note(.refused, UInt64(index), UInt64(problem.status))
      if refused(problem, post, request) { settle(index, post) }
    }
  }

  /// The client has its answer, and goes on.
  private func settle(_ index: Int, _ post: Post) {
    clients[index].post = nil
    if post.isRepeatable { clients[index].answered.append(post) }
  }

  private func areDurable(_ post: Post, _ request: AppendRequest) -> Bool {
    post.units.indices.allSatisfy { place in
      let unit = post.units[place].id.flatMap { model.units[$0] }
      return unit?.hash == request.draft(place).contentHash
    }
  }

  /// What is wrong with telling that these units were appended.
  private func objection(to post: Post, _ request: AppendRequest, _ client: SimulatedClient) -> String? {
    var last = Position.zero
    for place in post.units.indices {
      guard let event = request.unit(place) else { return "an append is acknowledged without its units" }
      let name = "position \(event.position.rawValue)"
      guard model.holds(event) else { return "\(name) is acknowledged before it is published" }
      guard event.position > last else { return "\(name) is out of the request's order" }
      guard !client.wasKnown else { return "\(name): an id was in history, and is appended again" }
      last = event.position
      if let problem = post.units[place].objection(to: event, request.draft(place)) {
        return "\(name) \(problem)"
      }
    }
    return nil
  }

  /// What is wrong with answering a request by what happened at these positions.
  private func objection(
    to positions: ClosedRange<Position>, for post: Post, _ request: AppendRequest
  ) -> String? {
    guard let name = post.keyName,
      let entry = model.keys[name]?.last(where: { $0.first == positions.lowerBound })
    else { return "an answer is repeated that isn't durable under its key" }
    guard entry.requestHash == post.print, entry.last == positions.upperBound else {
      return "the answer to another request is repeated"
    }
    var place = 0
    for number in positions.lowerBound.rawValue...positions.upperBound.rawValue {
      guard let record = model.record(Position(number)) else { return "an answer lies beyond history" }
      let problem: String? = record.withUnsafeBytes { bytes in
        guard let event = EventView(bytes), event.unit != nil else { return nil }
        defer { place += 1 }
        guard place < post.units.count else { return "has more units than were posted" }
        return post.units[place].objection(to: event, request.draft(place))
      }
      if let problem { return "position \(number) \(problem)" }
    }
    return place == post.units.count ? nil : "\(place) units are repeated of \(post.units.count)"
  }

  /// Checks a refusal. True if it is the last word.
  private func refused(_ problem: Problem, _ post: Post, _ request: AppendRequest) -> Bool {
    switch problem.code {
    case .conflict:
      if !post.units.contains(where: { $0.id.map { model.units[$0] != nil } ?? false })
        || areDurable(post, request)
      {
        violate("told of a conflict with a unit that isn't durable, or is the same")
      }
      return true
    case .idempotencyMismatch:
      let kept = post.keyName.flatMap { model.keys[$0] } ?? []
      if !kept.contains(where: { $0.requestHash != post.print }) {
        violate("told of another request under a key that isn't durable, or is the same")
      }
      return true
    case .fenceRejected:
      counts.fencesRefused += 1
      // What was lost stays lost: had all its locks been held, they would be.
      let isStale = post.units.contains { unit in
        unit.fence.map { model.locks.held[$0.path]?.recorded.token.rawValue != $0.token } ?? false
      }
      if !isStale { violate("a post is refused for its fence though its locks are held") }
      return true
    case .preconditionFailed:
      checkSequence(problem, post)
      return true
    case .payloadTooLarge:
      if post.payload < Int(Self.segmentBytes) - 8192 { violate("a unit that fits is refused as too large") }
      return true
    case .unavailable:
      return false
    case .storageFull:
      counts.storageFull += 1
      return false
    default:
      violate("refused with \(problem.code.name): \(problem.detail)")
      return true
    }
  }

  /// The sequence that a refusal tells must be one that a unit could get by what is durable.
  private func checkSequence(_ problem: Problem, _ post: Post) {
    let told = problem.detail.split(separator: " ").compactMap { UInt64($0.filter(\.isNumber)) }
    let isPossible = post.units.contains { unit in
      // The answer may have been under way while history grew.
      let last = model.contexts[unit.context]?.state.lastSequence.rawValue ?? 0
      return told.count == 1 && unit.expectedSequence.map { $0 != told[0] } ?? false
        && told[0] <= last + UInt64(post.units.count)
    }
    if !isPossible {
      violate("told of \(told) as the next sequence, which no unit of the request could have")
    }
  }
}
