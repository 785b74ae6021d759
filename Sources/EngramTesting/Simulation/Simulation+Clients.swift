internal import Bytes
internal import Engine
internal import Model

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

  /// A new unit of no telling size.
  private func fresh() -> Post {
    let size =
      switch draw.below(48) {
      case 0: 66_000
      case 1...2: 20_000 + draw.below(38_000)
      case 3...8: 2_000 + draw.below(14_000)
      default: draw.below(1_500)
      }
    let context = Post.name("c", draw.below(Post.contexts))
    var expected: UInt64?
    if draw.oneIn(5) {
      let known = model.contexts[context]?.state.lastSequence.rawValue ?? 0
      expected = max(1, known + UInt64(draw.below(3)))
    }
    return Post(
      id: draw.oneIn(3) ? chooseID() : nil, context: context, agent: Post.name("a", draw.below(Post.agents)),
      payloadBytes: size, salt: draw.below(4096), expectedSequence: expected, hasFence: draw.oneIn(16))
  }

  /// An id of the client's own: of about now, or of any time.
  private func chooseID() -> UnitID {
    let time = draw.oneIn(3) ? draw.next() % (clock * 2) : clock + UInt64(draw.below(500_000))
    let id = UnitID.make(logTime: LogTime(microseconds: time), random: draw.next())
    model.chosen.insert(id)
    return id
  }

  /// A unit that this or another client has posted before, or one that contradicts it.
  private func repeated(_ index: Int) -> Post? {
    guard draw.oneIn(5) else { return nil }
    let other = draw.below(clients.count)
    // Also while the other one still waits for its answer.
    let known = clients[other].post.map { $0.id == nil ? [] : [$0] } ?? []
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
    clients[index].wasKnown = post.id.map { model.units[$0] != nil } ?? false
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
    case .appended(let event):
      counts.appended += 1
      trace.note(.appended, UInt64(index), event.position.rawValue)
      if let problem = objection(to: event, for: post, request, client) { violate(problem) }
      settle(index, post)
    case .exists(let id):
      counts.exists += 1
      trace.note(.exists, UInt64(index))
      let unit = model.units[id]
      if id != post.id || unit?.hash != request.draft.contentHash {
        violate("told that a unit exists which isn't durable, or isn't the same: \(id)")
      }
      settle(index, post)
    case .refused(let problem):
      counts.refused += 1
      trace.note(.refused, UInt64(index), UInt64(problem.status))
      if refused(problem, post, request, client) { settle(index, post) }
    }
  }

  /// The client has its answer, and goes on.
  private func settle(_ index: Int, _ post: Post) {
    clients[index].post = nil
    if post.id != nil { clients[index].answered.append(post) }
  }

  /// What is wrong with telling that this unit was appended.
  private func objection(
    to event: EventView, for post: Post, _ request: AppendRequest, _ client: SimulatedClient
  ) -> String? {
    let place = "position \(event.position.rawValue)"
    guard model.holds(event) else { return "\(place) is acknowledged before it is published" }
    guard let unit = event.unit else { return "\(place) is acknowledged and is no unit" }
    guard !client.wasKnown else { return "\(place): id \(unit.id) was in history, and is appended again" }
    guard !post.hasFence else { return "\(place) is appended though its fence is stale" }
    if let id = post.id, id != unit.id { return "\(place) has another id than its client chose" }
    if let expected = post.expectedSequence, expected != unit.sequence.rawValue {
      return "\(place) has sequence \(unit.sequence.rawValue), not \(expected)"
    }
    let isSame =
      unit.hash == request.draft.contentHash && event.contextID.map { $0.elementsEqual(post.context) } == true
      && event.agentID.map { $0.elementsEqual(post.agent) } == true
    guard isSame else { return "\(place) isn't what its client posted" }
    let start = Int(unit.payloadOffset) + 1
    let end = start + Int(unit.payloadLength) - 2
    guard start <= end, end < event.body.count else { return "\(place) has no payload" }
    let told = UnsafeRawBufferPointer(rebasing: event.body[start..<end])
    guard post.token.withUnsafeBytes({ $0.isSame(as: told) }) else {
      return "\(place) has another payload than its client posted"
    }
    return nil
  }

  /// Checks a refusal. True if it is the last word.
  private func refused(
    _ problem: Problem, _ post: Post, _ request: AppendRequest, _ client: SimulatedClient
  ) -> Bool {
    switch problem.code {
    case .conflict:
      let unit = post.id.flatMap { model.units[$0] }
      if unit == nil || unit?.hash == request.draft.contentHash {
        violate("told of a conflict with a unit that isn't durable, or is the same")
      }
      return true
    case .fenceRejected:
      if !post.hasFence { violate("a post without a fence is refused for its fence") }
      return true
    case .preconditionFailed:
      let last = model.contexts[post.context]?.state.lastSequence.rawValue ?? 0
      // The answer may have been under way while history grew.
      let told = problem.detail.split(separator: " ").compactMap { UInt64($0.filter(\.isNumber)) }
      if told.count != 1 || told[0] > last + 1 || told.first == post.expectedSequence {
        violate("told of \(told) as the next sequence, which is durably \(last + 1)")
      }
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
}
