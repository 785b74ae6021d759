import Bytes
import Testing

@testable import Model

@Suite struct ProblemTests {
  private func json(_ problem: Problem, _ request: String = "r-1") -> String {
    Body(request).withBytes { String(decoding: problem.json(requestID: $0), as: UTF8.self) }
  }

  @Test func writesEveryMember() {
    let problem = Problem(at: "/metadata/a~1b", "must be a \"string\"")
    #expect(
      json(problem)
        == #"{"type":"urn:engram:problem:invalid_request","title":"The request is not valid","status":400,"#
        + #""detail":"/metadata/a~1b must be a \"string\"","code":"invalid_request","request_id":"r-1","#
        + #""errors":[{"pointer":"/metadata/a~1b","detail":"must be a \"string\""}]}"#)
  }

  @Test func leavesErrorsOutWhereNoFieldIsAtFault() {
    #expect(
      json(Problem(.unavailable, "The log is full"))
        == #"{"type":"urn:engram:problem:unavailable","title":"The server can not take this now","status":503,"#
        + #""detail":"The log is full","code":"unavailable","request_id":"r-1"}"#)
  }

  /// The list of `api.md`.
  @Test func codesAndStatusesAreAClosedList() {
    let list = ErrorCode.allCases.map { "\($0.name) \($0.status)" }
    #expect(
      list == [
        "invalid_request 400", "unauthenticated 401", "permission_denied 403", "not_found 404",
        "method_not_allowed 405", "conflict 409", "lock_held 409", "lock_not_held 409", "fence_rejected 409",
        "deadlock 409", "gone 410", "precondition_failed 412", "payload_too_large 413",
        "unsupported_media_type 415", "idempotency_mismatch 422", "upgrade_required 426", "rate_limited 429",
        "head_too_large 431", "internal 500", "unavailable 503", "storage_full 507",
      ])
    #expect(ErrorCode.allCases.filter(\.asksToRetry) == [.rateLimited, .unavailable])
  }

  @Test(arguments: ErrorCode.allCases)
  func isValidJSONWhateverItTells(_ code: ErrorCode) {
    let nasty = "\u{0}\u{1F}\"\\/\n😀\u{7F}" + String(repeating: "\u{1}", count: 300)
    let problem = Problem(
      code, nasty, errors: [.init(pointer: nasty, detail: nasty), .init(pointer: "", detail: "")])
    Body(json(problem, nasty)).withBytes { bytes in
      var scanner = JSONScanner(bytes)
      var keys = JSONKeys()
      #expect(throws: Never.self) {
        try scanner.beginDocument()
        try scanner.skipValue(&keys)
        try scanner.endDocument()
      }
    }
  }

  @Test func tellsWhereTheJSONBreaks() {
    #expect(
      Parsed("{\"a\nb\":1}").problem?.detail
        == "The body is not valid JSON: unescaped control character in a string at byte 3")
  }
}
