internal import Model
internal import Settings

/// Limits of one HTTP connection. Times in nanoseconds.
public struct ConnectionLimits: Sendable {
  /// From a request's first byte to the end of its head; then 408.
  public var headNanoseconds: UInt64 = 10_000_000_000
  /// Without a byte of a body that is awaited; then 408.
  public var bodyNanoseconds: UInt64 = 20_000_000_000
  /// For a whole body, whatever its pace; then 408.
  public var bodyTotalNanoseconds: UInt64 = 120_000_000_000
  /// Between two requests; then the connection is closed.
  public var idleNanoseconds: UInt64 = 600_000_000_000
  /// Without a byte taken by a peer that has answers waiting; then the connection is cut.
  public var stallNanoseconds: UInt64 = 30_000_000_000
  /// Bytes of further requests that wait while one is answered; then no more are received for a while.
  public var aheadBytesMax = 64 << 10
  /// Bytes of answers that wait to be sent; then no further request is begun.
  public var queuedBytesMax = 1 << 20
  /// Bytes of bodies that are being gathered, on all connections together; then 503.
  public var inflightBodyBytesMax = Limits.inflightBodyBytesMax
  /// Open connections, on all loops together; then new ones are closed at once.
  public var connectionsMax = 100_000

  public init() {}

  init(_ settings: Settings) {
    func nanoseconds(_ seconds: Int) -> UInt64 { UInt64(seconds) * 1_000_000_000 }
    headNanoseconds = nanoseconds(settings[Schema.headSeconds])
    bodyNanoseconds = nanoseconds(settings[Schema.bodySeconds])
    bodyTotalNanoseconds = nanoseconds(settings[Schema.bodyTotalSeconds])
    idleNanoseconds = nanoseconds(settings[Schema.idleSeconds])
    stallNanoseconds = nanoseconds(settings[Schema.stallSeconds])
    inflightBodyBytesMax = settings[Schema.inflightBytesMax]
    connectionsMax = settings[Schema.connectionsMax]
  }
}
