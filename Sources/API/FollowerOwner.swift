internal import Model

/// What owns a follower and its socket: one connection of one transport. Loop thread.
protocol FollowerOwner: AnyObject {
  /// Every 15 s. The follower has written its progress, if it has a subscription.
  func followerBeats(_ follower: Follower)
  /// The follower ends, and frames nothing more: the owner takes leave of its peer, and closes the socket once that
  /// is sent. The follower cuts the socket if the peer doesn't take it.
  func follower(_ follower: Follower, ends reason: StreamEnd)
  /// `subscribe` can't begin where it was asked to (`gone`); what was subscribed before goes on.
  func follower(_ follower: Follower, refuses problem: Problem)
  /// It is found out whether history goes back to where `subscribe` asked to begin: the follower `isLooking` no more.
  func followerHasLooked(_ follower: Follower)
}
