/// When a ping is due, and when a peer has been silent for too long. A machine without clock: `now` is in ns of one
/// clock that never falls. Each connection has a phase of its own, so that thousands don't beat at once.
public struct WebSocketHeartbeat: Equatable, Sendable {
  public enum Action: Equatable, Sendable {
    case none
    /// Send a ping, and whatever else goes out each time.
    case beat
    /// The peer is gone: close.
    case silent
  }

  /// Between two pings.
  public static let beatNanoseconds: UInt64 = 15_000_000_000
  /// Without a byte from the peer, which has missed three pings then.
  public static let silenceNanoseconds: UInt64 = 45_000_000_000

  private var beat: UInt64
  private var heard: UInt64

  /// Begins at `now`. `phase` is any number, best a random one: the first ping comes somewhere within a period.
  public init(now: UInt64, phase: UInt64) {
    beat = now &+ 1 &+ phase % WebSocketHeartbeat.beatNanoseconds
    heard = now
  }

  /// When `tick` is to be called next.
  public var deadline: UInt64 { min(beat, heard &+ WebSocketHeartbeat.silenceNanoseconds) }

  /// Bytes came from the peer: any, not just pongs. An earlier time than one that is known changes nothing.
  public mutating func hear(now: UInt64) { heard = max(heard, now) }

  /// Time has passed. `isListening`: whether bytes of the peer were being received; one that isn't listened to is not
  /// silent.
  public mutating func tick(now: UInt64, isListening: Bool) -> Action {
    if !isListening { heard = now }
    if now >= heard &+ WebSocketHeartbeat.silenceNanoseconds { return .silent }
    guard now >= beat else { return .none }
    beat &+= WebSocketHeartbeat.beatNanoseconds
    // Beats that were missed are not made up for.
    if beat <= now { beat = now &+ WebSocketHeartbeat.beatNanoseconds }
    return .beat
  }
}
