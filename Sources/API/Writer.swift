internal import Access
internal import Model

/// Who appends units, and what they may do by that. Borrows the caller's agent.
struct Writer {
  /// Of the credential, or of `X-Agent-ID`; nil if nobody is named.
  let agent: UnsafeRawBufferPointer?
  let isAuthenticated: Bool
  /// Nil: everything is allowed.
  let permissions: Permissions?

  /// - Parameter agent: of `X-Agent-ID`, where authentication is off.
  init(_ caller: Caller, agent: UnsafeRawBufferPointer?) {
    self.agent = caller.isAuthenticated ? caller.agent : agent
    isAuthenticated = caller.isAuthenticated
    permissions = caller.permissions
  }

  /// Gives the unit its agent.
  /// - Returns: why it may not be appended.
  func take(_ draft: UnitDraft) -> Problem? {
    if let problem = draft.resolveAgent(agent, isAuthenticated: isAuthenticated) { return problem }
    guard let permissions else { return nil }
    guard permissions.allows(.contextWrite, context: draft.contextID) else {
      return Problem(
        .permissionDenied, at: draft.pointer("/context_id"), "is not open to the credential for context:write"
      )
    }
    if let fence = draft.fence, !permissions.allows(.lockRead, lock: fence.path),
      !permissions.allows(.lockAcquire, lock: fence.path)
    {
      // As of a lock that nobody holds, which is what the caller sees of it.
      return Problem(
        .fenceRejected, at: draft.pointer("/fence"), "names a lock that is not held with this token")
    }
    return nil
  }
}
