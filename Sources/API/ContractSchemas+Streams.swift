internal import Model

/// What streams carry.
extension Schemas {
  private static func named(_ schema: String) -> String { ##"{"$ref":"#/components/schemas/\##(schema)"}"## }
  private static func list(_ schema: String, max: Int? = nil) -> String {
    #"{"type":"array","items":\#(named(schema))\#(max.map { #","maxItems":\#($0)"# } ?? "")}"#
  }

  /// An object with these members, all of them but for `optional`.
  private static func object(_ members: [(name: String, schema: String)], optional: [String] = []) -> String {
    let required = members.map(\.name).filter { !optional.contains($0) }.map { "\"\($0)\"" }
    let properties = members.map { #""\#($0.name)":\#($0.schema)"# }
    return #"{"type":"object","required":[\#(required.joined(separator: ","))],"#
      + #""properties":{\#(properties.joined(separator: ","))}}"#
  }

  private static func frame(
    _ type: String, _ members: [(name: String, schema: String)] = [], optional: [String] = []
  ) -> String {
    object([("type", #"{"const":"\#(type)"}"#)] + members, optional: optional)
  }

  private static let contextsMax = Limits.subscriptionContextsMax
  private static let cursor = ("cursor", named("Cursor"))
  private static let ref = ("ref", #"{"type":["string","integer"]}"#)
  private static let subscribed = [
    ("position", named("Position")), ("contexts", list("Identifier", max: contextsMax)),
  ]
  private static let gap = [("after", named("Cursor")), ("next", named("Cursor"))]
  private static let lockEvent = [
    (
      "action",
      #"{"enum":[\#(LockAction.allCases.map { "\"\($0.name)\"" }.joined(separator: ","))]}"#
    ),
    ("lock", named("Lock")),
  ]

  private static let fromServer = [
    frame("subscribed", subscribed),
    frame("workunit", [cursor, ("work_unit", named("WorkUnit"))]),
    frame("context", [cursor, ("context", named("Context"))]),
    frame("lock", [cursor] + lockEvent),
    frame("progress", [cursor]),
    frame(
      "ack",
      [ref, ("id", named("UnitID")), ("sequence", named("Sequence")), ("position", named("Position"))],
      optional: ["ref"]),
    frame("pong"),
    frame(
      "error", [ref, ("code", named("ErrorCode")), ("detail", #"{"type":"string"}"#)], optional: ["ref"]),
    frame("gap", gap),
  ]

  private static let subscription = [
    ("contexts", list("Identifier", max: contextsMax)), ("after", named("Cursor")),
    ("types", list("WorkUnitTypeIn")), ("agents", list("Identifier")),
    ("events", #"{"type":"array","items":{"enum":["workunit","context","lock"]}}"#),
    ("lock", #"{"type":"string","maxLength":\#(Limits.resourcePathBytesMax + 1)}"#),
  ]

  private static let fromClient = [
    frame("subscribe", [ref] + subscription, optional: ["ref"] + subscription.map(\.0)),
    frame("unsubscribe", [ref], optional: ["ref"]),
    frame("publish", [ref, ("work_unit", named("NewWorkUnit"))], optional: ["ref"]),
    frame("ping", [ref], optional: ["ref"]),
  ]

  static let streams = #"""
    "Cursor": {
      "type": "string", "pattern": "^[A-Za-z0-9_-]+$",
      "description": "Where a stream is. Opaque: it goes into `after` as it is, to resume behind it."
    },
    "Subscribed": \#(object(subscribed)),
    "LockEvent": \#(object(lockEvent)),
    "Gap": \#(object(gap)),
    "ServerFrame": {
      "oneOf": [\#(fromServer.joined(separator: ","))],
      "description": "A text frame from the server. In `subscribed`, no contexts are all contexts; `gap` says that what lies behind `after` and before `next` is no longer kept."
    },
    "ClientFrame": {
      "oneOf": [\#(fromClient.joined(separator: ","))],
      "description": "A text frame to the server. The members of `subscribe` are those of the query of the stream."
    }
    """#
}
