internal import Access
internal import Bytes
internal import Engine
internal import EventLoop
internal import HTTP
internal import Model

/// A Context as it is answered: its JSON in two parts, because the number of its newest unit is never the stored one.
private struct ContextBody {
  var head: UnsafeRawBufferPointer
  var last: [UInt8]

  init(_ entry: ContextPage.Entry) throws(Problem) {
    guard let head = ContextJSON.head(entry.record.body) else {
      throw Problem(.internal, "the record of a context can't be read")
    }
    self.head = head
    last = Array("\(entry.lastSequence.rawValue)}".utf8)
  }

  var count: Int { head.count + last.count }

  func write(to exchange: Exchange) {
    exchange.socket.output.write(head)
    last.withUnsafeBytes { exchange.socket.output.write($0) }
  }
}

extension LoopServices {
  // MARK: GET /contexts

  /// In order of id, compared as bytes; `prefix` of ids, `agent_id` (once) of an agent that the context lists.
  func contexts(_ exchange: Exchange) async throws(Problem) {
    let parameters = try Query(exchange, .contexts)
    var list = ContextList(limit: Limits.pageDefault, visibility: exchange.caller.contextVisibility)
    if let prefix = try parameters.one("prefix"), !prefix.isEmpty {
      list.prefix = try Query.identifier(prefix, at: "/prefix")
    }
    list.agent = try parameters.identifier("agent_id")
    let limit = try parameters.limit()
    let hash = Query.hash(prefix: list.prefix, agent: list.agent)
    list.after = try parameters.nameCursor(of: hash, nameBytesMax: Limits.identifierBytesMax)
    // One more than asked for, to know whether there is more.
    list.limit = limit + 1
    let page = try await engine.contexts(list)
    var bodies: [ContextBody] = []
    for entry in page.entries.prefix(limit) { bodies.append(try ContextBody(entry)) }
    var reached = page.reached
    if page.entries.count > limit { reached = page.entries[limit - 1].record.contextID.map { Array($0) } }
    let cursor =
      try reached.map { name throws(Problem) in
        try Query.nameCursor(
          name, of: hash, nameBytesMax: Limits.identifierBytesMax, isSealed: list.visibility != nil)
      } ?? []
    let length = bodies.reduce(13 + max(0, bodies.count - 1) + 17 + cursor.count + 2) { $0 + $1.count }
    try exchange.requireRoom(for: length)
    exchange.begin(.ok, .json, length: length)
    guard !exchange.isHeadOnly else { return }
    exchange.socket.output.write("{\"contexts\":[")
    for (place, body) in bodies.enumerated() {
      if place > 0 { exchange.socket.output.write(",") }
      body.write(to: exchange)
    }
    exchange.socket.output.write("],\"next_cursor\":\"")
    cursor.withUnsafeBytes { exchange.socket.output.write($0) }
    exchange.socket.output.write("\"}")
    withExtendedLifetime(page) {}
  }

  // MARK: GET /contexts/{id}

  /// `include=pinned,recent` (repeatable or separated by commas) adds the pinned units and the newest 100, newest first,
  /// each as far as a page's bytes go.
  func context(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    let parameters = try Query(exchange, .context)
    let id = try Query.identifier(try Query.decode(exchange.bytes(subject)), at: "/id")
    let (withPinned, withRecent) = try included(parameters)
    let isSeen = exchange.caller.sees(context: id)
    let page = try await engine.context(id)
    guard isSeen, let entry = page.entries.first, let head = entry.record.context else {
      throw Problem(.notFound, "there is no context with this id")
    }
    let tag = "\"\(head.revision).\(entry.lastSequence.rawValue)\""
    guard withPinned || withRecent else {
      if matches(exchange, .ifNoneMatch, tag, whenAbsent: false) {
        return exchange.begin(.notModified, .none, length: nil, fieldBytes: 128) { writeTag(tag, to: &$0) }
      }
      let body = try ContextBody(entry)
      exchange.begin(.ok, .json, length: 11 + body.count + 1, fieldBytes: 128) { writeTag(tag, to: &$0) }
      guard !exchange.isHeadOnly else { return }
      exchange.socket.output.write("{\"context\":")
      body.write(to: exchange)
      exchange.socket.output.write("}")
      return withExtendedLifetime(page) {}
    }
    let body = try ContextBody(entry)
    // What follows may suspend: the window may lose the record meanwhile.
    let context = Array(body.head) + body.last
    let pinned = try await withPinned ? self.pinned(entry.record) : nil
    let recent = try await withRecent ? self.recent(id, entry.lastSequence) : nil
    let shown = (pinned ?? []).flatMap(\.units) + (recent?.units ?? [])
    try exchange.requireRoom(for: shown.reduce(context.count) { $0 + $1.bodyLength })
    answer(exchange, context, pinned, recent, tag)
  }

  // MARK: PATCH /contexts/{id}

  func changeContext(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    try noQuery(exchange)
    let id = try Query.identifier(try Query.decode(exchange.bytes(subject)), at: "/id")
    try requireJSON(exchange)
    let patch = try ContextPatch(exchange.body)
    _ = try Asker.required(try asker(exchange, named: patch.agent, .contextWrite, .context(id)))
    let request = ContextRequest(patch, of: id, if: try precondition(exchange), loop: engine.loop.index)
    await engine.perform(request)
    switch request.outcome {
    case .changed(let record, let isNew):
      guard let head = record.context else {
        throw Problem(.internal, "the record of a context can't be read")
      }
      let body = record.body
      exchange.begin(isNew ? .created : .ok, .json, length: 11 + body.count + 1, fieldBytes: 128) {
        writeTag("\"\(head.revision).\(head.lastSequence.rawValue)\"", to: &$0)
      }
      exchange.socket.output.write("{\"context\":")
      exchange.socket.output.write(body)
      exchange.socket.output.write("}")
    case .refused(let problem): throw problem
    case nil: throw Problem(.internal, "the change has no outcome")
    }
    withExtendedLifetime(request) {}
  }

  /// What `If-Match` says (RFC 9110, section 13.1.1): of each tag the part before the point, which is the revision. A weak
  /// tag matches nothing.
  private func precondition(_ exchange: Exchange) throws(Problem) -> ContextRequest.Precondition {
    guard let tags = exchange.members(of: .ifMatch) else { return .none }
    if tags.contains("*") { return .exists }
    return .revision(
      tags.compactMap { tag in
        guard tag.utf8.count >= 2, tag.hasPrefix("\""), tag.hasSuffix("\"") else { return nil }
        let parts = tag.utf8.dropFirst().dropLast().split(
          separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        return parts.first.flatMap { Query.decimal([UInt8]($0)) }
      })
  }

  private func included(_ parameters: Query) throws(Problem) -> (pinned: Bool, recent: Bool) {
    var found = (pinned: false, recent: false)
    for names in parameters.all("include") {
      for name in names.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
        if name.elementsEqual("pinned".utf8) {
          found.pinned = true
        } else if name.elementsEqual("recent".utf8) {
          found.recent = true
        } else {
          throw Problem(at: "/include", "names something else than pinned and recent")
        }
      }
    }
    return found
  }

  /// The units that a context pins, in its order. Suspends.
  private func pinned(_ record: EventView) async throws(Problem) -> [UnitPage] {
    guard let ids = ContextState(record)?.pinnedUnits else {
      throw Problem(.internal, "the record of a context can't be read")
    }
    var pages: [UnitPage] = []
    var bytes = 0
    for id in ids where bytes < Limits.pageBytesMax {
      var page = try await engine.unit(id)
      page.detach()
      bytes += page.units.reduce(0) { $0 + $1.length }
      pages.append(page)
    }
    return pages
  }

  /// The newest units up to the one that the context was answered with. Suspends before, not after.
  private func recent(_ id: [UInt8], _ last: Sequence) async throws(Problem) -> UnitPage {
    guard last > .zero else { return UnitPage() }
    return try await engine.units(
      UnitList(context: id, range: 1...last.rawValue, reverse: true, limit: Limits.recentUnits))
  }

  private func answer(
    _ exchange: Exchange, _ context: [UInt8], _ pinned: [UnitPage]?, _ recent: UnitPage?, _ tag: String
  ) {
    let pins = pinned.map { $0.flatMap(\.units) }
    var length = 11 + context.count + 1
    if let pins { length += 10 + listLength(pins) + 2 }
    if let recent { length += 10 + listLength(recent.units) + 2 }
    exchange.begin(.ok, .json, length: length, fieldBytes: 128) { writeTag(tag, to: &$0) }
    if !exchange.isHeadOnly {
      exchange.socket.output.write("{\"context\":")
      context.withUnsafeBytes { exchange.socket.output.write($0) }
      if let pins {
        exchange.socket.output.write(",\"pinned\":")
        writeList(pins, to: exchange)
      }
      if let recent {
        exchange.socket.output.write(",\"recent\":")
        writeList(recent.units, to: exchange)
      }
      exchange.socket.output.write("}")
    }
    withExtendedLifetime((pinned, recent)) {}
  }

  private func writeTag(_ tag: String, to writer: inout ByteWriter) {
    var tag = tag
    tag.withUTF8 { writer.field("ETag", UnsafeRawBufferPointer($0)) }
  }
}
