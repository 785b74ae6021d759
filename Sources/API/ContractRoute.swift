internal import Bytes
internal import EventLoop
internal import HTTP
internal import Model

extension LoopServices {
  // MARK: GET /openapi.json

  func contract(_ exchange: Exchange) throws(Problem) {
    try noQuery(exchange)
    let document = contractDocument
    func writeTag(_ writer: inout ByteWriter) {
      var tag = document.tag
      tag.withUTF8 { writer.field("ETag", UnsafeRawBufferPointer($0)) }
    }
    if exchange.lists(document.tag, in: .ifNoneMatch) {
      return exchange.begin(.notModified, .none, length: nil, fieldBytes: 64, writeTag)
    }
    try exchange.requireRoom(for: document.bytes.count)
    exchange.begin(.ok, .json, length: document.bytes.count, fieldBytes: 64, writeTag)
    if !exchange.isHeadOnly { document.bytes.withUnsafeBytes { exchange.socket.output.write($0) } }
  }
}

extension Exchange {
  /// Whether the lines of a field list this entity tag, or `*` (RFC 9110, section 13.1.2): the weak comparison.
  func lists(_ tag: String, in field: KnownField) -> Bool {
    guard let value = head[field] else { return false }
    var members = ListMembers(bytes(value))
    while let member = members.next() {
      let text = String(decoding: member, as: UTF8.self)
      if text == tag || text == "W/" + tag || text == "*" { return true }
    }
    return false
  }
}
