internal import Engine
internal import Model

/// A client that changes contexts: one request at a time.
struct PatchClient {
  let loop: Int
  var request: ContextRequest?
  var number: UInt64 = 0
  var precondition = ContextRequest.Precondition.none
  /// All units that it wants pinned were in history when it asked.
  var knowsPins = true
  var context: [UInt8] = []
}

extension Simulation {
  func patch(_ process: SimulatedProcess) {
    let index = draw.below(patchClients.count)
    guard patchClients[index].request == nil else { return }
    patchNumber += 1
    let name = Post.name("c", draw.below(Post.contexts))
    let (body, knowsPins) = patchBody(patchNumber, name)
    guard let patch = try? [UInt8](body.utf8).withUnsafeBytes({ try ContextPatch($0) }) else {
      return violate("a valid change is refused: \(body)")
    }
    model.patches[patchNumber] = patch
    let precondition = drawPrecondition(name)
    let request = ContextRequest(patch, of: name, if: precondition, loop: patchClients[index].loop)
    patchClients[index] = PatchClient(
      loop: patchClients[index].loop, request: request, number: patchNumber, precondition: precondition,
      knowsPins: knowsPins, context: name)
    trace.note(.patch, patchNumber, UInt64(body.utf8.count))
    process.home.submit(request)
  }

  private func drawPrecondition(_ name: [UInt8]) -> ContextRequest.Precondition {
    let revision = model.contexts[name]?.state.revision ?? 0
    switch draw.below(6) {
    case 0: return .exists
    case 1, 2: return .revision([revision])
    case 3: return .revision([revision + UInt64(draw.below(3)), 1])
    default: return .none
    }
  }

  private func patchBody(_ number: UInt64, _ name: [UInt8]) -> (body: String, knowsPins: Bool) {
    var members = [
      "\"metadata\":{\"by\":\"\(number)\",\"k\(draw.below(3))\":\(draw.oneIn(3) ? "null" : "\"v\"")}"
    ]
    if draw.oneIn(3) { members.append("\"display_name\":\"plan \(number)\"") }
    if draw.oneIn(3) { members.append("\"add_agents\":[\"a\(draw.below(6))\",\"b\(draw.below(3))\"]") }
    if draw.oneIn(4) {
      members.append("\"remove_agents\":[\"a\(6 + draw.below(2))\",\"b\(3 + draw.below(2))\"]")
    }
    if draw.oneIn(8) {
      // Also agents that units join again.
      members.append("\"remove_agents\":[\"a\(draw.below(4))\"]")
      members.removeAll { $0.hasPrefix("\"add_agents\"") }
      if let last = members.lastIndex(where: { $0.hasPrefix("\"remove_agents\"") }) {
        members = members.enumerated().filter {
          $0.offset == last || !$0.element.hasPrefix("\"remove_agents\"")
        }
        .map(\.element)
      }
    }
    var knowsPins = true
    if draw.oneIn(3), let id = drawUnit(draw.oneIn(4) ? Post.name("c", draw.below(Post.contexts)) : name) {
      let isPin = draw.oneIn(4) == false
      members.append("\"\(isPin ? "pin_units" : "unpin_units")\":[\"\(id)\"]")
      if isPin { knowsPins = model.units[id]?.context == name }
    } else if draw.oneIn(12) {
      members.append(
        "\"pin_units\":[\"\(UnitID.make(logTime: LogTime(microseconds: clock), random: draw.next()))\"]")
      knowsPins = false
    }
    return ("{\(members.joined(separator: ","))}", knowsPins)
  }

  /// A unit of a context, as history has it.
  private func drawUnit(_ name: [UInt8]) -> UnitID? {
    guard let positions = model.contexts[name]?.units, !positions.isEmpty,
      let record = model.record(positions[draw.below(positions.count)])
    else { return nil }
    return record.withUnsafeBytes { EventView($0)?.unitID }
  }

  func answered(_ request: ContextRequest) {
    guard let index = patchClients.firstIndex(where: { $0.request === request }) else {
      return violate("a change of a context is answered twice, or by a process that is dead")
    }
    let client = patchClients[index]
    patchClients[index].request = nil
    switch request.outcome {
    case .changed(let event, let isNew):
      counts.patches += 1
      trace.note(.patched, client.number, event.position.rawValue)
      guard model.holds(event), let state = ContextState(event) else {
        return violate("a change is told before it is durable")
      }
      if HistoryModel.mark(state) != client.number || state.id != client.context {
        violate("another change is told")
      }
      if isNew != (state.revision == 1) { violate("a change says wrongly whether it created the context") }
      if !isMet(client.precondition, before: state.revision) {
        violate("a change is made though If-Match fails")
      }
    case .refused(let problem):
      counts.patchRefusals += 1
      trace.note(.refused, client.number, UInt64(problem.status))
      refused(problem, client)
    case nil: violate("a change is completed without an outcome")
    }
  }

  private func isMet(_ precondition: ContextRequest.Precondition, before revision: UInt64) -> Bool {
    switch precondition {
    case .none: true
    case .exists: revision > 1
    case .revision(let wanted): revision > 1 && wanted.contains(revision - 1)
    }
  }

  private func refused(_ problem: Problem, _ client: PatchClient) {
    switch problem.code {
    case .preconditionFailed:
      let told = problem.detail.split(separator: " ").last.flatMap { UInt64($0) }
      let last = model.contexts[client.context]?.state.revision ?? 0
      switch client.precondition {
      case .none: violate("a change without a precondition fails it")
      case .exists: if told != nil { violate("a context that exists is told not to") }
      case .revision(let wanted):
        if let told, told > last || wanted.contains(told) {
          violate("told of revision \(told), durable is \(last)")
        }
      }
    case .invalidRequest:
      if client.knowsPins { violate("a change is refused: \(problem.detail)") }
    case .unavailable, .storageFull: break
    default: violate("a change is refused with \(problem.code.name): \(problem.detail)")
    }
  }
}
