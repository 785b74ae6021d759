internal import Bytes
internal import Model
internal import Router

/// What a client says in one text frame.
enum WebSocketMessage {
  case ping
  case unsubscribe
  /// Follow this instead of what was followed, from behind a position, or from now on.
  case subscribe(Subscription, after: Position?)
  /// The work unit is in the draft that the reader was lent.
  case publish
}

/// Reads one message: an object whose `type` says what its other members may be. A publish, the one that comes often,
/// is read in one pass and without allocation if `type` comes before what is unknown.
struct WebSocketMessageReader: ~Copyable {
  private enum Kind {
    case ping, unsubscribe, subscribe, publish
  }

  private let text: UnsafeRawBufferPointer
  private var scanner: JSONScanner
  private var kind: Kind?
  /// The token of `ref` as the client wrote it, quotes included; empty if there is none. It lies in the text.
  private(set) var ref = UnsafeRawBufferPointer(start: nil, count: 0)
  private var problem: Problem?

  init(_ text: UnsafeRawBufferPointer) {
    self.text = text
    scanner = JSONScanner(text)
  }

  /// Reads the message. `draft` is called once at most, for the draft that a work unit is read into; it borrows the text.
  /// - Throws: what is wrong with the message. `ref` is there then too, if it can be found and is one.
  mutating func read(_ draft: () -> UnitDraft) throws(Problem) -> WebSocketMessage {
    let wrong: Problem
    do throws(JSONError) {
      switch try readMembers(draft) {
      case .ping: return .ping
      case .unsubscribe: return .unsubscribe
      case .publish: return .publish
      case .subscribe: break
      }
      let (subscription, start) = try readSubscription()
      return .subscribe(subscription, after: start)
    } catch {
      wrong = problem ?? Problem(error)
    }
    if ref.isEmpty { searchRef() }
    throw wrong
  }

  private mutating func readMembers(_ draft: () -> UnitDraft) throws(JSONError) -> Kind {
    try scanner.beginDocument()
    guard try scanner.peek() == .object else { throw refuse("", "must be an object") }
    var keys = JSONKeys()
    var hasUnit = false
    var stranger: JSONString?
    var more = try scanner.enterObject()
    while more {
      let name = try scanner.key()
      if scanner.matches(name, "type") {
        guard kind == nil else { throw refuse("/type", "is given twice") }
        let found = try readKind()
        kind = found
        // Its members are read by a reader that knows them.
        if found == .subscribe { return found }
      } else if scanner.matches(name, "ref") {
        guard ref.isEmpty else { throw refuse("/ref", "is given twice") }
        try readRef()
      } else if scanner.matches(name, "work_unit"), kind == nil || kind == .publish {
        guard !hasUnit else { throw refuse("/work_unit", "is given twice") }
        hasUnit = true
        if let wrong = draft().parseUnit(&scanner, at: .member) {
          problem = wrong
          throw JSONError(.refused, at: 0)
        }
      } else {
        // Which members there may be is known once the type is.
        guard kind == nil else { throw refuseMember(name) }
        stranger = stranger ?? name
        try scanner.skipValue(&keys)
      }
      more = try scanner.nextMember()
    }
    try scanner.endDocument()
    guard let kind else { throw refuse("/type", "is required") }
    if let stranger { throw refuseMember(stranger) }
    guard hasUnit == (kind == .publish) else {
      throw refuse("/work_unit", hasUnit ? "is not a member of this message" : "is required")
    }
    return kind
  }

  private mutating func readKind() throws(JSONError) -> Kind {
    guard try scanner.peek() == .string else { throw refuse("/type", "must be a string") }
    let token = try scanner.string()
    if scanner.matches(token, "publish") { return .publish }
    if scanner.matches(token, "subscribe") { return .subscribe }
    if scanner.matches(token, "unsubscribe") { return .unsubscribe }
    if scanner.matches(token, "ping") { return .ping }
    throw refuse("/type", "must be subscribe, unsubscribe, publish or ping")
  }

  private mutating func readRef() throws(JSONError) {
    guard let token = try scanner.reference() else { throw refuse("/ref", JSONScanner.referenceDetail) }
    ref = token
  }

  /// Looks for `ref` behind what was wrong, so that the error can name it.
  private mutating func searchRef() {
    let kept = problem
    defer { problem = kept }
    scanner = JSONScanner(text)
    var keys = JSONKeys()
    do throws(JSONError) {
      try scanner.beginDocument()
      guard try scanner.peek() == .object else { return }
      var more = try scanner.enterObject()
      while more {
        if scanner.matches(try scanner.key(), "ref") { return try readRef() }
        try scanner.skipValue(&keys)
        more = try scanner.nextMember()
      }
    } catch {
      // Then there is none.
    }
  }

  // MARK: Subscriptions

  /// Reads the whole text anew, as what it is known to be.
  private mutating func readSubscription() throws(JSONError) -> (Subscription, Position?) {
    var reader = BodyReader(text)
    var subscription = Subscription()
    var start: Position?
    var named = ref
    let names: [StaticString] = [
      "type", "ref", "contexts", "after", "types", "agents", "events", "lock",
    ]
    do throws(Problem) {
      try reader.readBody(names) { reader, index, pointer throws(JSONError) in
        switch index {
        case 0: _ = try reader.string(pointer)
        case 1:
          guard let token = try reader.scanner.reference() else {
            throw reader.refuse(pointer, JSONScanner.referenceDetail)
          }
          named = token
        case 2:
          let contexts = try reader.names(pointer, countMax: Limits.subscriptionContextsMax, of: "contexts")
          subscription.contexts = contexts.isEmpty ? nil : contexts
        case 3: start = try reader.cursor(pointer)
        case 4: subscription.types = try reader.types(pointer)
        case 5:
          subscription.agents = try reader.names(
            pointer, countMax: Limits.subscriptionAgentsMax, of: "agents")
        case 6: subscription.kinds = try reader.kinds(pointer)
        default: subscription.lockPrefix = try reader.lockPrefix(pointer)
        }
      }
    } catch {
      problem = error
      throw JSONError(.refused, at: 0)
    }
    ref = named
    return (subscription, start)
  }

  // MARK: Errors

  private mutating func refuse(_ pointer: String, _ detail: String) -> JSONError {
    problem = Problem(at: pointer, detail)
    return JSONError(.refused, at: 0)
  }

  private mutating func refuseMember(_ name: JSONString) -> JSONError {
    let pointer = JSONText.withDecoded(name, of: text) {
      Problem.pointer(to: String(decoding: $0.prefix(128), as: UTF8.self))
    }
    return refuse(pointer, "is not a member of this message")
  }
}

extension JSONScanner {
  fileprivate static let referenceDetail =
    "must be a string of at most \(Limits.messageRefBytesMax) bytes, or an integer"

  /// The token of a `ref`, quotes included; nil if the value that comes next can't be one.
  fileprivate mutating func reference() throws(JSONError) -> UnsafeRawBufferPointer? {
    switch try peek() {
    case .string:
      let token = try string()
      return token.count <= Limits.messageRefBytesMax ? token.quoted(of: bytes) : nil
    case .number:
      let token = try number()
      guard token.integer != nil else { return nil }
      return UnsafeRawBufferPointer(rebasing: bytes[Int(token.start)..<Int(token.start) + Int(token.count)])
    default: return nil
    }
  }
}

/// The members of a subscription.
extension BodyReader {
  /// Ids, each once.
  fileprivate mutating func names(
    _ pointer: String, countMax: Int, of noun: String
  ) throws(JSONError) -> [[UInt8]] {
    var names: [[UInt8]] = []
    try array(pointer, countMax: countMax, of: noun) { reader, element throws(JSONError) in
      let name = try reader.identifier(element)
      if !names.contains(name) { names.append(name) }
    }
    return names
  }

  fileprivate mutating func types(_ pointer: String) throws(JSONError) -> Set<UInt8> {
    var types: Set<UInt8> = []
    try array(pointer, countMax: Limits.subscriptionTypesMax, of: "types") {
      reader, element throws(JSONError) in
      let type: WorkUnitType?
      switch try reader.scanner.peek() {
      case .string: type = Query.type(try reader.text(element, bytesMax: Limits.identifierBytesMax))
      case .number: type = try reader.scanner.number().integer.flatMap { WorkUnitType(number: $0) }
      default: type = nil
      }
      guard let type else { throw reader.refuse(element, "is not a type of work units") }
      types.insert(type.rawValue)
    }
    return types
  }

  /// Kinds of events; those of a subscription that doesn't say, if the list is empty.
  fileprivate mutating func kinds(_ pointer: String) throws(JSONError) -> EventKinds {
    var kinds: EventKinds = []
    try array(pointer, countMax: Limits.subscriptionTypesMax, of: "kinds") {
      reader, element throws(JSONError) in
      guard let kind = EventKinds(name: try reader.text(element, bytesMax: Limits.identifierBytesMax)) else {
        throw reader.refuse(element, "must be workunit, context or lock")
      }
      kinds.formUnion(kind)
    }
    return kinds.isEmpty ? Subscription().kinds : kinds
  }

  /// A position, as a string or a number.
  fileprivate mutating func cursor(_ pointer: String) throws(JSONError) -> Position {
    let position: UInt64?
    switch try scanner.peek() {
    case .string: position = Query.decimal(try text(pointer, bytesMax: Limits.identifierBytesMax))
    case .number: position = try scanner.number().integer.flatMap { UInt64(exactly: $0) }
    default: position = nil
    }
    guard let position else { throw refuse(pointer, "is not a cursor of this server") }
    return Position(position)
  }

  fileprivate mutating func lockPrefix(_ pointer: String) throws(JSONError) -> [UInt8] {
    let prefix = try text(pointer, bytesMax: Limits.resourcePathBytesMax + 1)
    do throws(Problem) { return try LoopServices.lockPrefix(prefix, at: pointer) } catch {
      throw refuse(pointer, error.errors.first?.detail ?? error.detail)
    }
  }
}
