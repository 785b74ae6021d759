import Bytes
import HTTP
import Testing

@Suite struct ServerSentEventsTests {
  @Test func opensAStream() {
    let opening = written(capacity: ServerSentEvents.retryBytes(milliseconds: 1000)) {
      ServerSentEvents.retry(milliseconds: 1000, to: &$0)
    }
    #expect(opening == "retry: 1000\n\n")
  }

  @Test func prefixDataAndSuffixMakeAnEvent() {
    let size = ServerSentEvents.prefixBytes(event: "workunit", id: 12_345)
    let prefix = written(capacity: size) { ServerSentEvents.prefix(event: "workunit", id: 12_345, to: &$0) }
    #expect(prefix == "event: workunit\nid: 12345\ndata: ")
    #expect(prefix.utf8.count == size)
    #expect(prefix + "{}" + "\(ServerSentEvents.suffix)" == event("workunit", 12_345, "{}"))
  }

  /// Written into room of just the size that was announced.
  private func event(_ name: StaticString, _ id: UInt64?, _ data: String) -> String {
    withBytes(data) { data in
      let size = ServerSentEvents.eventBytes(name, id: id, data: data)
      let event = written(capacity: size) { ServerSentEvents.event(name, id: id, data: data, to: &$0) }
      #expect(event.utf8.count == size)
      return event
    }
  }

  @Test(arguments: [
    ("", "data: \n\n"), ("x", "data: x\n\n"), ("x\ny", "data: x\ndata: y\n\n"),
    ("x\ry", "data: x\ndata: y\n\n"),
    ("x\r\ny", "data: x\ndata: y\n\n"), ("\n", "data: \ndata: \n\n"), ("x\n", "data: x\ndata: \n\n"),
    ("\r\n\r\n", "data: \ndata: \ndata: \n\n"), ("x\n\ry", "data: x\ndata: \ndata: y\n\n"),
    ("x\r", "data: x\ndata: \n\n"), (" lead", "data:  lead\n\n"), ("id: 7", "data: id: 7\n\n"),
  ])
  func everyLineOfDataHasItsField(data: String, expected: String) {
    #expect(event("", nil, data) == expected)
    #expect(event("lock", 0, data) == "event: lock\nid: 0\n\(expected)")
  }

  @Test func bookmarksAndComments() {
    #expect(
      written(capacity: ServerSentEvents.bookmarkBytes(id: 77) + 1) {
        ServerSentEvents.bookmark(id: 77, to: &$0)
      }
        == "id: 77\n\n")
    #expect(
      written(capacity: ServerSentEvents.commentBytes("awake")) { ServerSentEvents.comment("awake", to: &$0) }
        == ": awake\n\n")
  }
}
