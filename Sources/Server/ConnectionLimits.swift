internal import Model
internal import Settings

/// Limits of one HTTP connection, and of all together. Times in nanoseconds.
public struct ConnectionLimits: Sendable, Equatable {
  /// From the acceptance to the first byte; then the connection is closed. Browsers connect ahead of need.
  public var firstRequestNanoseconds: UInt64 = 30_000_000_000
  /// From a request's first byte to the end of its head; then 408.
  public var headNanoseconds: UInt64 = 10_000_000_000
  /// Without a byte of a body that is awaited; then 408.
  public var bodyNanoseconds: UInt64 = 20_000_000_000
  /// For a whole body, whatever its pace; then 408.
  public var bodyTotalNanoseconds: UInt64 = 120_000_000_000
  /// Bytes per second of a body, on average, once `bodyNanoseconds` are over; then 408. 0: any pace.
  public var bodyBytesPerSecondMin: UInt64 = 512
  /// Between two requests; then the connection is closed.
  public var idleNanoseconds: UInt64 = 600_000_000_000
  /// Without a byte taken by a peer that has answers waiting; then the connection is cut.
  public var stallNanoseconds: UInt64 = 30_000_000_000
  /// Bytes per second that such a peer takes, over each `stallNanoseconds`; then it is cut. 0: any pace.
  public var answerBytesPerSecondMin: UInt64 = 512
  /// The same of those who hold more than their share while answers of half of `answerBytesMax` wait (`AnswerRoom`),
  /// over a third of the time.
  public var strainedBytesPerSecondMin: UInt64 = 32 << 10
  /// Bytes of further requests that wait while one is answered; then no more are received for a while.
  public var aheadBytesMax = 64 << 10
  /// Bytes of answers that wait to be sent; then no further request is begun.
  public var queuedBytesMax = 1 << 20
  /// Bytes of answers that wait to be sent, on all connections together, streams aside; then answers of more than
  /// 64 KiB are refused by 503, from half of it on to those who hold more than their share. `Int.max`: no limit.
  public var answerBytesMax = 512 << 20
  /// Bytes of bodies that are being gathered, on all connections together; then 503.
  public var inflightBodyBytesMax = Limits.inflightBodyBytesMax
  /// Open connections, streams included, on all loops together; then new ones are closed at once.
  public var connectionsMax = 100_000

  /// After so long a connection is looked at again, whatever it does. No time is shorter: one that begins meanwhile is
  /// known before it is over, and no timer has to be moved for it.
  var lookNanoseconds: UInt64 {
    min(
      firstRequestNanoseconds, headNanoseconds, bodyNanoseconds, bodyTotalNanoseconds, idleNanoseconds,
      stallNanoseconds)
  }

  public init() {}

  init(_ settings: Settings) {
    func nanoseconds(_ seconds: Int) -> UInt64 { UInt64(seconds) * 1_000_000_000 }
    firstRequestNanoseconds = nanoseconds(settings[Schema.firstRequestSeconds])
    headNanoseconds = nanoseconds(settings[Schema.headSeconds])
    bodyNanoseconds = nanoseconds(settings[Schema.bodySeconds])
    bodyTotalNanoseconds = nanoseconds(settings[Schema.bodyTotalSeconds])
    bodyBytesPerSecondMin = UInt64(settings[Schema.bodyPaceMin])
    idleNanoseconds = nanoseconds(settings[Schema.idleSeconds])
    stallNanoseconds = nanoseconds(settings[Schema.stallSeconds])
    answerBytesPerSecondMin = UInt64(settings[Schema.answerPaceMin])
    let answerBytes = settings[Schema.answerBytesMax]
    answerBytesMax = answerBytes == 0 ? .max : answerBytes
    inflightBodyBytesMax = settings[Schema.inflightBytesMax]
    connectionsMax = settings[Schema.connectionsMax]
  }
}
