public import Access
internal import Bytes
internal import Engine
public import EventLoop
public import HTTP
public import Model

/// One request and its answer: what a connection lends to the handler. A connection has one and uses it again.
/// Loop thread.
public final class Exchange {
  public let socket: Socket
  public var head = RequestHead()
  /// The memory that the runs of `head` count from. It and `body` stay where they are until the handler is done.
  public var headBytes = UnsafeRawBufferPointer(start: nil, count: 0)
  public var body = UnsafeRawBufferPointer(start: nil, count: 0)
  /// Whether the body is left out, because only the head was asked for.
  public var isHeadOnly = false
  /// Whether the connection lives on after this answer; a handler may clear it.
  public var keeps = true
  /// When the request was complete: CLOCK_MONOTONIC, nanoseconds.
  public var startedAt: UInt64 = 0
  /// The status that was answered; 0 before.
  public internal(set) var status: UInt16 = 0
  /// The peer will send no more, or the connection is gone: who waits for a lock is not there to hold
  /// it, and who searches is not there to be answered.
  public private(set) var isAbandoned = false
  /// Whether nothing is received, so that the peer's end would not be seen: then nobody waits for a lock.
  public var isBlind = false {
    didSet { if isBlind { waiting?.endWait(on: services.engine) } }
  }
  /// The request for locks, or the search, that this connection waits for.
  private var waiting: (any Abandonable)?
  let services: LoopServices
  private var requestIDBytes = [UInt8](repeating: 0, count: Limits.requestIDBytesMax)
  private var requestIDCount = 0
  private var append: AppendRequest?
  /// How far a batch of lines is read.
  var lines = UnitLines()
  /// Once `findRoute` or a handler has looked.
  var route: Route.Match?
  private var isRouted = false
  /// Who asks, once `admit` has looked.
  public internal(set) var caller = Caller.open
  /// Why the request is refused, whatever its body says.
  public internal(set) var refusal: Problem?
  /// Whether it came with a credential, good or bad.
  var bearsCredential = false
  /// The connection's last credential that was accepted.
  var credential: HeldCredential?
  /// The certificate that the peer has proved to be its own in the handshake: read once, if somebody asks.
  public lazy var certificate: PeerCertificate? = socket.peerCertificate.flatMap { der in
    var found = der.withUnsafeBytes { PeerCertificate(der: $0) }
    found?.authorityGeneration = socket.authorityGeneration
    return found
  }
  /// What the connection takes of what is shared; nil in tests.
  public var lease: ConnectionLease?
  /// What the answer says to pages of other origins.
  var crossOrigin = CrossOrigin.off
  /// What the buckets have said to this request.
  var rateNotice: RateNotice?
  /// What `Retry-After` says, if it is more than a second.
  var retrySeconds: UInt64 = 0
  /// A page of another origin sends it, for which the visitor's certificate doesn't speak.
  var isForeign = false
  /// The request asks what a page may ask for.
  var isPreflight = false

  public init(socket: Socket, services: LoopServices) {
    self.socket = socket
    self.services = services
  }

  /// The connection's append, made when it is first needed.
  var appendRequest: AppendRequest {
    if let append { return append }
    let made = AppendRequest(loop: services.engine.loop.index, pool: services.drafts)
    append = made
    return made
  }

  /// A request that may be abandoned is under way, or no more.
  func waits(for request: (any Abandonable)?) {
    waiting = request
    if isAbandoned { abandon() }
    if isBlind { request?.endWait(on: services.engine) }
  }

  /// The peer has ended its side, or the connection is gone.
  public func abandon() {
    isAbandoned = true
    waiting?.abandon(on: services.engine)
  }

  /// Prepares for the request whose head is parsed.
  public func begin() {
    status = 0
    isHeadOnly = false
    requestIDCount = 0
    lines = UnitLines()
    refusal = nil
    bearsCredential = false
    crossOrigin = .off
    rateNotice = nil
    retrySeconds = 0
    isForeign = false
    isPreflight = false
    route = nil
    isRouted = false
  }

  /// Whether the request announces a body.
  var hasBody: Bool {
    switch head.body {
    case .none, .length(0): false
    default: true
    }
  }

  /// The route of the request's path, by whatever method; found once for a request. Requires the head.
  func findRoute() -> Route.Match? {
    if !isRouted {
      route = Route.match(head.path, in: headBytes)
      isRouted = true
    }
    return route
  }

  /// The route that answers the request: that of its path which takes its method. Nil: none does.
  var routeName: Route.Name? { findRoute()?.name.taking(head.method) }

  func bytes(_ run: ByteRun) -> UnsafeRawBufferPointer { run.bytes(in: headBytes) }

  /// Whether the answer to an append may leave out what was appended (RFC 7240).
  var prefersMinimal: Bool { head.lists("return=minimal", in: .prefer, bytes: headBytes) }

  /// The value of a field that may stand once.
  func field(_ field: KnownField) throws(Problem) -> UnsafeRawBufferPointer? {
    do throws(HTTPError) {
      return try head.single(field).map { bytes($0) }
    } catch {
      throw Problem(.invalidRequest, "\(field.name) stands more than once")
    }
  }

  /// The members of a field that is a list, of all its lines (RFC 9110, section 5.6.1); nil if it is absent.
  func members(of field: KnownField) -> [String]? {
    guard var line = head.index(of: field) else { return nil }
    var found: [String] = []
    while true {
      var members = ListMembers(bytes(head.value(at: line)))
      while let member = members.next() { found.append(String(decoding: member, as: UTF8.self)) }
      guard let next = head.index(of: field, after: line) else { return found }
      line = next
    }
  }

  /// The caller's request id if it is well-formed, else one of the server's.
  func withRequestID<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    if requestIDCount == 0 {
      let own = head[.xRequestID].map { bytes($0) }
      requestIDCount = requestIDBytes.withUnsafeMutableBytes { to in
        if let own, !own.isEmpty, own.count <= to.count, own.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) {
          to.copyMemory(from: own)
          return own.count
        }
        return services.requestIDs.write(to)
      }
    }
    return requestIDBytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<requestIDCount])) }
  }
}

/// Request ids of one loop: 16 hexadecimal digits, counted up from a random start.
struct RequestIDs {
  private var next = UInt64.random(in: .min ... .max)

  mutating func write(_ to: UnsafeMutableRawBufferPointer) -> Int {
    // Multiplying by an odd number is a bijection, so that neighbours look different and none repeats.
    var rest = next &* 0x9e37_79b9_7f4a_7c15
    next &+= 1
    for place in 0..<16 {
      let digit = UInt8(truncatingIfNeeded: rest >> 60)
      to[place] = digit < 10 ? 0x30 + digit : 0x57 + digit
      rest <<= 4
    }
    return 16
  }
}
