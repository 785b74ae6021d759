extension Examples {
  // MARK: Contexts

  static let contextPatches: [(name: String, value: String)] = [
    (
      "change",
      #"""
      {"agent_id": "anna", "display_name": "A demonstration", "add_agents": ["carl"], "pin_units": ["\#(unitID)"],
       "metadata": {"goal": "ship it", "draft": null}}
      """#
    )
  ]

  /// Of the context that the examples of units are posted into.
  static let changedContexts: [(name: String, value: String)] = [
    (
      "change",
      #"""
      {"context": {"id": "demo", "display_name": "A demonstration", "agent_ids": ["anna", "bob", "carl"],
       "pinned_units": ["\#(unitID)"], "metadata": {"goal": "ship it"}, "created_at": "2026-01-02T03:04:05.678901Z",
       "updated_at": "2026-01-02T03:04:06.789012Z", "revision": 3, "last_sequence": 3}}
      """#
    )
  ]

  // MARK: Locks

  /// The path that the example of one lock is for.
  static let lockPath = "repo/main.c"
  /// Its id, as the server might have named it.
  static let lockID = "019b7c9e-3a71-7d75-9a44-7fa152638495"

  static let newLocks: [(name: String, value: String)] = [
    (
      "one",
      #"{"resource_path": "/\#(lockPath)", "agent_id": "anna", "ttl_seconds": 3600, "metadata": {"why": "a bug"}}"#
    ),
    (
      "several",
      #"{"resource_paths": ["repo/b.c", "repo/a.c"], "agent_id": "anna", "ttl_seconds": 3600, "wait_seconds": 0.5}"#
    ),
  ]

  private static func lock(
    _ path: String, _ id: String, token: Int, until expiry: String, metadata: String = ""
  ) -> String {
    #"""
    {"resource_path": "\#(path)", "holder_agent": "anna", "lock_id": "\#(id)", "token": \#(token),
     "acquired_at": "2026-01-02T03:04:07.890123Z", "expires_at": "\#(expiry)", "metadata": {\#(metadata)}}
    """#
  }

  private static let pairOfLocks = [
    lock(
      "repo/b.c", "019b7c9e-3a72-7e86-8b55-80b2637495a6", token: 15, until: "2026-01-02T04:04:07.890123Z"),
    lock(
      "repo/a.c", "019b7c9e-3a73-7f97-9c66-91c3748506b7", token: 16, until: "2026-01-02T04:04:07.890123Z"),
  ]

  private static func one(until expiry: String) -> String {
    #"{"lock": \#(lock(lockPath, lockID, token: 14, until: expiry, metadata: #""why": "a bug""#))}"#
  }

  static let grantedLocks: [(name: String, value: String)] = [
    ("one", one(until: "2026-01-02T04:04:07.890123Z")),
    ("several", #"{"locks": [\#(pairOfLocks.joined(separator: ", "))]}"#),
  ]

  static let renewals: [(name: String, value: String)] = [
    ("longer", #"{"lock_id": "\#(lockID)", "ttl_seconds": 7200}"#)
  ]

  static let renewedLocks: [(name: String, value: String)] = [
    ("longer", one(until: "2026-01-02T05:04:08.901234Z"))
  ]

  static let releases: [(name: String, value: String)] = [
    ("byHolder", #"{"released": true}"#),
    ("byForce", #"{"released": true, "holder_agent": "anna"}"#),
  ]
}
