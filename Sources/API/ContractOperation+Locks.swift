internal import HTTP
internal import Model

extension Operation {
  /// What every change of locks can meet.
  private static let lockRefusals: [ErrorCode] = [.unavailable, .storageFull]
  private static let bodyRefusals: [ErrorCode] = [.payloadTooLarge, .unsupportedMediaType]

  /// Where to go on with the lock of an answer.
  private static let links = ##"""
    "lock": {"operationId": "getLock", "parameters": {"path": "$response.body#/lock/resource_path"}},
    "renew": {
      "operationId": "renewLock", "parameters": {"path": "$response.body#/lock/resource_path"},
      "requestBody": {"lock_id": "$response.body#/lock/lock_id"}
    },
    "release": {
      "operationId": "releaseLock", "parameters": {
        "path": "$response.body#/lock/resource_path", "query.agent_id": "$response.body#/lock/holder_agent", "query.lock_id": "$response.body#/lock/lock_id"
      }
    }
    """##

  static let acquireLocks = Operation(
    ids: ["acquireLocks"], tag: "locks", summary: "Acquire one lock, or several: all or none",
    text:
      "An agent that holds a lock already gets it again: the same `lock_id` and `token`, and the later expiry of old and "
      + "new. With `wait_seconds` the answer comes when all of the paths are free and no earlier request names any of "
      + "them, or when the time is over; requests for a path are served in the order in which they came, and one "
      + "that doesn't wait overtakes none that does. Who hangs up while waiting is forgotten. A wait that would never "
      + "end, because holders and waiters wait for each other in a circle, is refused at once (`deadlock`). The `token` "
      + "is a fencing token: it grows with each grant, and `fence` of a write names it. Who holds a lock, and which agents "
      + "stand in a circle, is told to those who may read the locks.",
    body: [json("NewLocks", Examples.newLocks)],
    answers: [
      Answer(
        status: .ok,
        summary: "All of them are held, and that is durable: `lock`, or `locks` for `resource_paths`.",
        content: [
          Content(
            media: "application/json",
            schema: #"{"oneOf":[\#(reference("LockAnswer")),\#(reference("LocksAnswer"))]}"#,
            examples: Examples.grantedLocks)
        ], links: links)
    ], refusals: [.lockHeld, .deadlock] + bodyRefusals + [.rateLimited] + lockRefusals)

  static let locks = Operation(
    ids: ["listLocks"], tag: "locks", summary: "The locks that are held, in order of path",
    answers: [
      Answer(
        status: .ok, summary: "A page.", content: [json("LockPage")],
        links:
          ##""lock": {"operationId": "getLock", "parameters": {"path": "$response.body#/locks/0/resource_path"}}"##
      )
    ], refusals: [.unavailable])

  static let lock = Operation(
    ids: ["getLock"], tag: "locks", summary: "Who holds a lock",
    answers: [
      Answer(status: .ok, summary: "It is held.", content: [json("LockAnswer")], links: links)
    ], refusals: [.notFound, .unavailable])

  static let renewLock = Operation(
    ids: ["renewLock"], tag: "locks", summary: "Hold a lock for longer",
    text:
      "From now on for `ttl_seconds`. Whoever knows the `lock_id` may, unless it says to be another agent.",
    body: [json("LockRenewal", Examples.renewals)],
    answers: [
      Answer(
        status: .ok, summary: "Renewed, and durable.", content: [json("LockAnswer", Examples.renewedLocks)],
        links: links)
    ], refusals: [.lockNotHeld] + bodyRefusals + lockRefusals)

  static let releaseLock = Operation(
    ids: ["releaseLock"], tag: "locks", summary: "Release a lock",
    text:
      "By the agent that holds it, named by `agent_id` or `X-Agent-ID`; with `force` by anyone, where authentication is on "
      + "by those who have `lock:force` for it.",
    answers: [
      Answer(status: .ok, summary: "Released, and durable.", content: [json("Released", Examples.releases)])
    ], refusals: [.notFound, .lockNotHeld] + lockRefusals)
}
