public import Access
public import Engine
internal import EventLoop
public import HTTP

/// What the routes of one loop have at hand. Loop thread, except the counters.
public final class LoopServices {
  public let engine: LoopEngine
  public let service: any ServiceStatus
  public let metrics: APIMetrics
  public let streams: StreamHub
  public var date = DateCache()
  /// Counts messages that are being gathered, and those kept until they are answered. Outlives the connections.
  public weak var bodies: (any BodyBudget)?
  /// Where denials are written down; nil: nowhere.
  public var audit: (any AuditSink)?
  /// Who may do what; nil: authentication is off. A newer one holds from the next request on, and for streams
  /// from the next event on.
  public var access: AccessControl? {
    didSet { streams.accessChanged(access) }
  }
  /// Tickets of all loops.
  public let tickets: TicketBook
  /// What agents and addresses may ask for in a time; nil: anything.
  public var rates: RateLimiter?
  /// What pages of browsers may do; nil: anything, in tests.
  public var browser: BrowserRules?
  let drafts = UnitDraftPool()
  let publishes: PublishPool
  var requestIDs = RequestIDs()
  var values = SharedValues()
  /// `/openapi.json`, made when it is first asked for.
  lazy var contractDocument = ContractDocument(version: service.version)

  public init(
    engine: LoopEngine, service: any ServiceStatus, metrics: APIMetrics, tickets: TicketBook = TicketBook()
  ) {
    self.tickets = tickets
    self.engine = engine
    self.service = service
    self.metrics = metrics
    publishes = PublishPool(loop: engine.loop.index, drafts: drafts)
    streams = StreamHub(engine: engine, metrics: metrics)
    engine.observer = streams
  }
}

/// The memory that the bodies of requests and messages may take, all connections together.
public protocol BodyBudget: AnyObject {
  /// Reserves bytes; false when all together would be too many.
  func charge(_ bytes: Int) -> Bool
  func uncharge(_ bytes: Int)
}

/// One condition of readiness.
public struct ReadinessCheck: Sendable {
  public var name: String
  public var isFulfilled: Bool
  public var detail: String

  public init(_ name: String, _ isFulfilled: Bool, _ detail: String) {
    self.name = name
    self.isFulfilled = isFulfilled
    self.detail = detail
  }
}

/// What the server says about itself. Any thread.
public protocol ServiceStatus: AnyObject, Sendable {
  var version: String { get }
  var isReady: Bool { get }
  var checks: [ReadinessCheck] { get }
  var exposition: [UInt8] { get }
}
