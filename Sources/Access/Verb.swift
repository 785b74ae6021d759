/// What a policy allows. The names are those of the configuration file.
public enum Verb: String, Sendable, CaseIterable {
  /// Units and contexts are seen: by id, in lists, payloads, streams, searches and walks.
  case contextRead = "context:read"
  /// Units are appended, contexts are changed.
  case contextWrite = "context:write"
  /// Locks are seen: by path, in lists and streams.
  case lockRead = "lock:read"
  /// Locks are acquired, renewed and released.
  case lockAcquire = "lock:acquire"
  /// A lock that somebody else holds is released.
  case lockForce = "lock:force"
  /// `POST /search` and its relatives, over what may be read.
  case search
  case metrics
}
