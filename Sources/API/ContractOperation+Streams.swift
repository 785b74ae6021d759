internal import HTTP
internal import Model

extension Operation {
  /// What other methods than GET (RFC 6455, section 4.1) and paths other than `/stream` answer.
  var withoutUpgrade: Operation {
    var plain = self
    plain.answers.removeAll { $0.status == .switchingProtocols }
    plain.refusals.removeAll { $0 == .upgradeRequired }
    return plain
  }

  private static let followed =
    "The order is that of the log. Without `after` the stream starts at the position that `subscribed` names, which is sent "
    + "once the subscription is live. A cursor beyond the end of history, or one whose history is no longer kept, is a "
    + "410; where that happens to an open stream, it is told of the `gap`. Who falls behind catches up from history, "
    + "and is let go after 30 s without progress: it can resume."

  private static let serverSent =
    "**Server-Sent Events** (WHATWG), without an upgrade: `retry: 1000`; `subscribed` with where it starts (`Subscribed`); "
    + "then `workunit` (a `WorkUnit`), `context` (the `Context` after the change) and `lock` (a `LockEvent`), whose `id` is "
    + "the cursor to resume from and whose `data` stand on one line; every 15 s a comment and an `id`."

  private static let webSocket =
    "**WebSocket** (RFC 6455), with an upgrade of `/stream`: JSON in text frames, `ServerFrame` from here and `ClientFrame` from there. "
    + "`subscribe` replaces what the query asked for, `unsubscribe` ends it; `publish` appends a unit by the rules of POST, and is "
    + "answered by `ack` once that is durable, or by `error`, with the `ref` that it bore (`X-Agent-ID` of the upgrade names the agent of units that name none); `ping` is answered by `pong`. Every "
    + "15 s comes `progress` and a ping frame; who isn't heard of for 45 s is let go. Close codes: 1001 going away, "
    + "1002, 1003, 1007, 1008 policy, 1009 too big, 1011, 1013 try again later. The subprotocol `engram.v1+json` "
    + "may be named."

  static let stream = Operation(
    ids: ["stream", "streamSSE", "streamSSEFlat"], tag: "streams", summary: "Follow live",
    text: [followed, serverSent, webSocket].joined(separator: "\n\n"),
    answers: [
      Answer(
        status: .ok, summary: "The stream, which never ends.",
        fields: ["Cache-Control", "X-Accel-Buffering"],
        content: [
          Content(
            media: "text/event-stream",
            schema: #"{"type":"string","description":"Events of the WHATWG's format."}"#)
        ]),
      Answer(
        status: .switchingProtocols, summary: "Frames follow.",
        fields: ["Upgrade", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"]),
    ], refusals: [.gone, .upgradeRequired], security: .ticket)
}
