internal import Access
internal import EventLoop
internal import Model
internal import Router

/// A follower over Server-Sent Events: from the response's head on, its connection only sends. Loop thread, all of it:
/// hence unchecked.
final class EventStream: SocketDelegate, FollowerOwner, @unchecked Sendable {
  private let follower: Follower

  init(_ exchange: Exchange) {
    follower = Follower(
      socket: exchange.socket, hub: exchange.services.streams, format: .sse, caller: exchange.caller,
      lease: exchange.lease)
  }

  /// Takes over the socket, whose response head is in the outbox. That `start` is kept was found out in this turn.
  func begin(_ subscription: Subscription, after start: Position?) {
    let socket = follower.socket
    guard !socket.isClosing else { return }
    socket.delegate = self
    follower.start(self)
    follower.subscribe(subscription, after: start, isKept: true)
  }

  // MARK: FollowerOwner

  func followerBeats(_ follower: Follower) {}

  /// The end of the stream is all that can be said to its client, which connects again and resumes.
  func follower(_ follower: Follower, ends reason: StreamEnd) { follower.socket.close(after: true) }

  func follower(_ follower: Follower, refuses problem: Problem) { follower.end(.failed) }

  func followerHasLooked(_ follower: Follower) {}

  // MARK: SocketDelegate

  func socket(
    _ s: Socket, received bytes: UnsafeMutableRawBufferPointer, buffer: ReceiveBufferID
  ) -> BufferDisposition {
    // Nothing is asked of a client of an event stream.
    .returned
  }

  func socketReachedEnd(_ s: Socket) { follower.end(.client) }

  func socketDrained(_ s: Socket) { follower.drained() }

  func socketClosed(_ s: Socket, reason: SocketCloseReason) { follower.close() }
}
