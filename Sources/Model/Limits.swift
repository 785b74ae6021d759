internal import Bytes

/// Every limit of the server that a client can meet: number, unit, the reason, and the answer at the limit.
/// The page for users says the same.
public enum Limits {
  // MARK: Requests

  /// Bytes of a request's line and fields. One receive buffer holds an honest one. Answer: 431 `head_too_large`.
  public static let headBytesMax = 16 << 10
  /// Fields of a request. Bounds the work per head. Answer: 431 `head_too_large`.
  public static let headFieldsMax = 100
  /// Bytes of a request's body. It is gathered in memory. Answer: 413 `payload_too_large`.
  public static let bodyBytesMax = 16 << 20
  /// Containers within one another. Bounds recursion. Answer: 400 `invalid_request`.
  public static let jsonDepthMax = JSONScanner.depthMax
  /// Magnitude of an integer: beyond it a client that computes in doubles loses digits (RFC 7493, section 2.2).
  /// Answer: 400 `invalid_request`.
  public static let integerMax = UInt64(JSONScanner.integerMax)
  /// Members and elements in values that are ignored, per JSON text (a body, or a line): names must be told apart, and
  /// a loop is not to be busy for long. Answer: 400 `invalid_request`.
  public static let ignoredMembersMax = JSONKeys.skippedMax
  /// Bytes of an `Idempotency-Key`: it is kept for 24 h. Answer: 400 `invalid_request`.
  public static let idempotencyKeyBytesMax = 128
  /// How long a stored success is answered again, in microseconds of log time. After it: a new request.
  public static let idempotencyMicroseconds: UInt64 = 24 * 3_600 * 1_000_000
  /// Bytes of a caller's `X-Request-ID`. Answer: none, the server makes one.
  public static let requestIDBytesMax = 128

  // MARK: Units

  /// Bytes of a context's or an agent's id, from 1: they stand in every record and key. Answer: 400.
  public static let identifierBytesMax = 256
  /// Bytes of a payload, decoded: a record must fit a segment of the log with room to spare.
  /// Answer: 413 `payload_too_large`.
  public static let payloadBytesMax = 8 << 20
  /// Pairs of one `metadata`: it is for filters, not for content. Answer: 400 `invalid_request`.
  public static let metadataPairsMax = 64
  /// Bytes of a metadata key, decoded. It is part of a query's URL. Answer: 400 `invalid_request`.
  public static let metadataKeyBytesMax = 128
  /// Bytes of a metadata value, decoded. Answer: 400 `invalid_request`.
  public static let metadataValueBytesMax = 4 << 10
  /// Relationships of one unit: each costs the store two entries. Answer: 400 `invalid_request`.
  public static let relationshipsMax = 256
  /// Units of one batch: it is decided in one turn of the loop. Answer: 400 `invalid_request`.
  public static let batchUnitsMax = 1000

  /// Bytes of a time in a request: any number of digits behind the point may be given. Answer: 400 `invalid_request`.
  public static let timeBytesMax = 64

  // MARK: Contexts

  /// Agents that a context lists: the whole list is in each of its events. Later ones post unlisted.
  public static let contextAgentsMax = 4096
  /// Units that a context pins. Answer: 400 `invalid_request`.
  public static let contextPinsMax = 256
  /// Bytes of a context's display name. Answer: 400 `invalid_request`.
  public static let displayNameBytesMax = 1024

  // MARK: Locks

  /// Bytes of a canonical lock path: it is a key of the store. Answer: 400 `invalid_request`.
  public static let resourcePathBytesMax = 1024
  /// Paths of one request for locks: each is an event of one batch. Answer: 400 `invalid_request`.
  public static let lockPathsMax = 32
  /// How long a lock may be held without a renewal, in microseconds. Answer: 400 `invalid_request`.
  public static let lockTTLMicrosecondsMin: UInt64 = 100_000
  public static let lockTTLMicrosecondsMax: UInt64 = 86_400_000_000
  /// How long a lock is held where the request doesn't say, in microseconds.
  public static let lockTTLMicrosecondsDefault: UInt64 = 60_000_000
  /// Seconds that a request for locks may wait: it keeps a connection. Answer: 400 `invalid_request`.
  public static let lockWaitSecondsMax: UInt64 = 300
  /// Paths that one agent holds or waits for. Answer: 429 `rate_limited`.
  public static let agentLocksMax = 100
  /// Paths that are held or waited for, of the server: they are held in memory. Answer: 503 `unavailable`.
  public static let locksMax = 100_000
  /// Bytes of a lock's metadata as JSON: it is in each of the lock's events, and those of one request for
  /// `lockPathsMax` locks are one batch. Answer: 400 `invalid_request`.
  public static let lockMetadataBytesMax = 64 << 10
  /// Bytes of names and metadata of locks and of requests that wait for them. Answer: 503 `unavailable`.
  public static let lockBytesMax = 256 << 20
  /// Requests that wait for locks, of the server: the search for cycles walks along them. Answer: 503 `unavailable`.
  public static let lockWaitersMax = 10_000

  // MARK: Queries

  /// Units or contexts of one page. Answer: 400 `invalid_request`.
  public static let pageMax = 1000
  /// Units or contexts of one page, where the query doesn't say.
  public static let pageDefault = 100
  /// Units that `GET /contexts/{id}?include=recent` adds, at most.
  public static let recentUnits = 100
  /// Bytes of records that one page may come to. Answer: a shorter page, whose cursor goes on.
  public static let pageBytesMax = 16 << 20
  /// Records that one page of a filtered list may look at; a step in the filters' index counts as one.
  /// Answer: a shorter page, perhaps an empty one, whose cursor goes on.
  public static let scannedRecordsMax = 20_000
  /// Bytes of records that one page of a filtered list may look at. Answer: likewise.
  public static let scannedBytesMax = 32 << 20

  // MARK: Streams

  /// Bytes queued for one subscriber before it is switched to catching up.
  public static let outboxBytesMax = 1 << 20
  /// Bytes queued for one subscriber up to which it shares memory with others; beyond it, what it is sent is copied,
  /// so that one that reads slowly holds nobody's memory but its own.
  public static let outboxSharedBytesMax = 64 << 10
  /// Bytes queued for all subscribers of a loop that have more than `outboxSharedBytesMax`. Above it, these catch up
  /// from history already at that limit.
  public static let outboxesBytesMax = 256 << 20
  /// Contexts that one subscription names. Bounds the work of each published event. Answer: 400 `invalid_request`.
  public static let subscriptionContextsMax = 256
  /// Agents that one subscription names. Likewise.
  public static let subscriptionAgentsMax = 256
  /// Types of units, or kinds of events, that one `subscribe` lists. There are fewer. Answer: `invalid_request`.
  public static let subscriptionTypesMax = 64
  /// Bytes of a message over WebSocket, in all its fragments: as of a request's body. Answer: closed with 1009.
  public static let messageBytesMax = bodyBytesMax
  /// Frames of one message: 16 MiB in frames of 256 bytes. Answer: closed with 1008.
  public static let messageFragmentsMax = 65_536
  /// Frames of one message that bring nothing: they could go on for ever. Answer: closed with 1008.
  public static let messageEmptyFragmentsMax = 128
  /// Bytes of a `ref`, as it is written: it is kept until the answer, and sent back. Answer: `invalid_request`.
  public static let messageRefBytesMax = 256
  /// Publishes of one connection that are not answered. Answer: no more is read until half of them are.
  public static let publishesInFlightMax = 1024
  /// Bytes of messages that these hold. Likewise.
  public static let publishBytesInFlightMax = 16 << 20
  /// Messages and control frames of one connection that are acted upon in one turn of its loop; a `subscribe` is the
  /// turn's last. Nobody else is to wait for a peer that sends more. Answer: the rest is read in the next turn.
  public static let messagesPerTurnMax = 512

  // MARK: Search

  /// Contexts that a page of the list of contexts passes over because its reader may not see them. Answer: the page ends,
  /// with a cursor.
  public static let contextsPassedMax = 10_000
  /// Hits of a page of search unless the client says.
  public static let searchPageDefault = 20
  /// Hits of a page of search, at most. Answer: 400 `invalid_request`.
  public static let searchPageMax = 1000
  /// Hits that `offset` may pass over, the page included: cursors go further. Answer: 400 `invalid_request`.
  public static let searchOffsetMax = 10_000
  /// Bytes of a search's text. It is taken apart on a loop. Answer: 400 `invalid_request`.
  public static let searchTextBytesMax = 4 << 10
  /// Words and phrases of a search. Each is a lookup in the index. Answer: 400 `invalid_request`.
  public static let searchTermsMax = 64
  /// Tokens that the words and phrases of a search come to. Each is a lookup in the index. Answer: 400
  /// `invalid_request`.
  public static let searchTokensMax = 512
  /// Bytes of a text that are looked at for a highlight, from its beginning. Answer: no highlight of what comes later.
  public static let highlightBytesMax = 256 << 10
  /// Characters of a highlight, without its marks.
  public static let highlightCharacters = 200
  /// Contexts that one search names. Answer: 400 `invalid_request`.
  public static let searchContextsMax = 256
  /// Agents that one search names. Answer: 400 `invalid_request`.
  public static let searchAgentsMax = 256
  /// Characters of a search's cursor: that of one for `searchTermsMax` words with parts, and some more. Answer: 400
  /// `invalid_request`.
  public static let searchCursorBytesMax = 768
  /// Microseconds that a search may wait for `min_position`. Answer: 400 `invalid_request`.
  public static let searchWaitMicrosecondsMax: UInt64 = 30 * 1_000_000
  /// Nanoseconds that the index works on one query. Answer: what it has, with `partial`.
  public static let searchNanosecondsMax: UInt64 = 250_000_000
  /// Hits that are counted beyond the page; beyond that `total_count` is an estimate.
  public static let searchCountedMax = 1000
  /// Searches that wait for the index, all connections together. Answer: 503 `unavailable`.
  public static let searchesQueuedMax = 256

  // MARK: Graph

  /// Steps of a walk along relationships. Answer: 400 `invalid_request`.
  public static let graphDepthMax = 10
  /// Units of an answer, unless the client says.
  public static let graphPageDefault = 100
  /// Units of an answer, at most. Answer: 400 `invalid_request`.
  public static let graphPageMax = 1000
  /// Relationships that one request looks at. Answer: what was found, with `partial`.
  public static let graphEdgesMax = 100_000
  /// Types of relationships that one request lists. There are fewer. Answer: 400 `invalid_request`.
  public static let graphTypesMax = 64
  /// Graph queries that wait for a thread, all connections together. Answer: 503 `unavailable`.
  public static let graphsQueuedMax = 256
  /// Nanoseconds that a graph query or a search waits for the store to have what is durable. Answer: 503 `unavailable`.
  public static let storeWaitNanosecondsMax: UInt64 = 5_000_000_000

  // MARK: Overload

  /// Bytes of log between the recent window's start and its end, on disk. Answer: 503 `unavailable`.
  public static let logBytesMax = 2 << 30
  /// Bytes that are durable but not yet applied: they are held in memory. Answer: 503 `unavailable`.
  public static let unappliedBytesMax = 512 << 20
  /// Bytes of bodies being gathered, all connections together. Answer: 503 `unavailable`.
  public static let inflightBodyBytesMax = 256 << 20
}
