import Bytes
import Model
import Testing

@Suite struct LockDraftTests {
  private func read(_ text: String) throws(Problem) -> LockDraft {
    try read(Array(text.utf8))
  }

  private func read(_ text: [UInt8]) throws(Problem) -> LockDraft {
    let result = Body(text).withBytes { body -> Result<LockDraft, Problem> in
      do throws(Problem) { return .success(try LockDraft(body)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private func renewal(_ text: String) throws(Problem) -> LockRenewal {
    let result = Body(text).withBytes { body -> Result<LockRenewal, Problem> in
      do throws(Problem) { return .success(try LockRenewal(body)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// The pointer and detail of what is wrong; nil if nothing is.
  private func fault(_ text: String) -> String? {
    do throws(Problem) {
      _ = try read(text)
      return nil
    } catch {
      return error.detail
    }
  }

  @Test func aPathAloneIsEnough() throws {
    let request = try read(#"{"resource_path":"/repo/a"}"#)
    #expect(request.paths == [bytes("repo/a")] && !request.isList && request.agent == nil)
    #expect(request.ttlMicroseconds == 60_000_000 && request.waitNanoseconds == 0)
    #expect(String(decoding: request.metadata, as: UTF8.self) == "{}")
  }

  @Test func everythingIsRead() throws {
    let request = try read(
      ##" {"resource_paths" : ["b", "/a/\u00e9"], "ttl_seconds":1.5, "wait_seconds":0.25, "agent_id":"\u0061nna", "##
        + ##""metadata":{ "k\u0041" : "v\n\"", "": "" } } "##)
    #expect(request.paths == [bytes("b"), bytes("a/é")] && request.isList && request.agent == bytes("anna"))
    #expect(request.ttlMicroseconds == 1_500_000 && request.waitNanoseconds == 250_000_000)
    #expect(String(decoding: request.metadata, as: UTF8.self) == ##"{"kA":"v\n\"","":""}"##)
  }

  @Test(arguments: [
    ("[]", " must be an object"), ("7", " must be an object"),
    (#"{}"#, "/resource_path is required, or resource_paths"),
    (
      #"{"resource_path":"a","resource_paths":["b"]}"#,
      "/resource_paths can't stand beside resource_path: only one may be given"
    ),
    (#"{"resource_path":"a","resource_path":"a"}"#, "/resource_path is given twice"),
    (#"{"resource_path":"a","resource_p\u0061th":"a"}"#, "/resource_path is given twice"),
    (#"{"resource_path":"a","ttl":1}"#, "/ttl is not a member of this object"),
    (#"{"a/~b":1}"#, "/a~1~0b is not a member of this object"),
    (#"{"resource_path":7}"#, "/resource_path must be a string"),
    (#"{"resource_path":"a//b"}"#, "/resource_path must not hold an empty segment or end with a slash"),
    (#"{"resource_path":"a/"}"#, "/resource_path must not hold an empty segment or end with a slash"),
    (#"{"resource_path":"a/../b"}"#, #"/resource_path must not hold a segment "." or "..""#),
    (#"{"resource_path":"\u0000"}"#, "/resource_path must not hold control characters"),
    (#"{"resource_path":"/"}"#, "/resource_path must not be empty"),
    (#"{"resource_paths":[]}"#, "/resource_paths must not be empty"),
    (#"{"resource_paths":"a"}"#, "/resource_paths must be an array"),
    (#"{"resource_paths":["a",null]}"#, "/resource_paths/1 must be a string"),
    (#"{"resource_paths":["a","b","/a"]}"#, "/resource_paths/2 is the same path as /resource_paths/0"),
    (#"{"resource_path":"a","agent_id":""}"#, "/agent_id must be 1 to 256 bytes"),
    (#"{"resource_path":"a","agent_id":"\n"}"#, "/agent_id must not hold control characters"),
    (#"{"resource_path":"a","metadata":[]}"#, "/metadata must be an object of strings"),
    (#"{"resource_path":"a","metadata":{"k":1}}"#, "/metadata/k must be a string"),
    (#"{"resource_path":"a","metadata":{"k":null}}"#, "/metadata/k must be a string"),
    (#"{"resource_path":"a","metadata":{"k":"1","\u006b":"2"}}"#, "/metadata/k is given twice"),
    (#"{"resource_path":"a"} x"#, "The body is not valid JSON: more text after the JSON value at byte 22"),
    (#"{"resource_path":"a""#, "The body is not valid JSON: the JSON text ends too early at byte 20"),
    ("", "The body is not valid JSON: the JSON text ends too early at byte 0"),
  ])
  func refuses(_ text: String, _ detail: String) {
    #expect(fault(text) == detail)
  }

  @Test(arguments: [
    ("60", 60_000_000), ("0.1", 100_000), ("86400", 86_400_000_000), ("8.64e4", 86_400_000_000),
    ("864E+2", 86_400_000_000), ("100e-3", 100_000), ("1.0000009", 1_000_000), ("0.10", 100_000),
    ("0.000001e6", 1_000_000), ("1.000000000000000000000000000000001", 1_000_000),
    ("1.5000000000000000000000000000000000000000", 1_500_000), ("10000000000000000000000e-22", 1_000_000),
    ("86400.000000", 86_400_000_000),
  ])
  func timesAreReadWithFractions(_ text: String, _ microseconds: UInt64) throws {
    // A large integer without an exponent is refused before: integers are within 2^53.
    #expect(try read(#"{"resource_path":"a","ttl_seconds":\#(text)}"#).ttlMicroseconds == microseconds)
  }

  @Test(arguments: [
    "0", "-1", "0.0999999", "0.09999999999", "86400.0000001", "86401", "1e9", "1e400", "1e-400",
    "1e999999999999999999",
    "-1e999999999999999999", "9007199254740993", "99999999999999999999999999", #""60""#, "null", "true", "[]",
    "{}",
    "1e99999999999999999999999999999999999999999999999999",
  ])
  func timesOutOfRangeAreRefused(_ text: String) {
    let ttl = fault(#"{"resource_path":"a","ttl_seconds":\#(text)}"#)
    #expect(ttl == "/ttl_seconds must be a number from 0.1 to 86400")
  }

  @Test(arguments: ["NaN", "Infinity", "01", "1.", ".5", "+1", "1e", "0x10", "--1"])
  func whatIsNoNumberIsNoJSON(_ text: String) {
    let detail = fault(#"{"resource_path":"a","wait_seconds":\#(text)}"#)
    #expect(detail?.hasPrefix("The body is not valid JSON") == true)
  }

  @Test(arguments: [
    ("0", 0), ("-0", 0), ("-0.0", 0), ("0e99999999999", 0), ("300", 300_000_000_000), ("0.0000001", 0),
    ("1e-400", 0),
    ("1e-99999999999999999999", 0),
  ])
  func waits(_ text: String, _ nanoseconds: UInt64) throws {
    #expect(try read(#"{"resource_path":"a","wait_seconds":\#(text)}"#).waitNanoseconds == nanoseconds)
  }

  @Test(arguments: ["300.0000001", "301", "-0.0000001", "-1", #""1""#])
  func waitsOutOfRange(_ text: String) {
    let detail = fault(#"{"resource_path":"a","wait_seconds":\#(text)}"#)
    #expect(detail == "/wait_seconds must be a number from 0 to 300")
  }

  @Test func limits() throws {
    func list(_ count: Int) -> String {
      #"{"resource_paths":["# + (0..<count).map { "\"p\($0)\"" }.joined(separator: ",") + "]}"
    }
    #expect(try read(list(32)).paths.count == 32)
    #expect(fault(list(33)) == "/resource_paths must hold at most 32 paths")
    let long = String(repeating: "x", count: 1_024)
    #expect(try read(#"{"resource_path":"/\#(long)"}"#).paths[0].count == 1_024)
    #expect(fault(#"{"resource_path":"/\#(long)x"}"#) == "/resource_path must be at most 1024 bytes")
    func metadata(_ count: Int, _ valueBytes: Int, _ character: String = "v") -> String {
      let value = String(repeating: character, count: valueBytes)
      let pairs = (0..<count).map { #""k\#($0)":"\#(value)""# }.joined(separator: ",")
      return #"{"resource_path":"a","metadata":{\#(pairs)}}"#
    }
    #expect(fault(metadata(64, 900)) == nil && fault(metadata(1, 4_096)) == nil)
    #expect(fault(metadata(65, 1)) == "/metadata must hold at most 64 pairs")
    #expect(fault(metadata(1, 4_097)) == "/metadata/k0 must be at most 4096 bytes")
    #expect(fault(metadata(16, 4_096)) == "/metadata must be at most 65536 bytes of JSON")
    #expect(fault(metadata(4, 4_096, #"\u0001"#)) == "/metadata must be at most 65536 bytes of JSON")
    let key = String(repeating: "k", count: 129)
    #expect(
      fault(#"{"resource_path":"a","metadata":{"\#(key)":""}}"#)
        == "/metadata must have keys of at most 128 bytes")
    let large = [UInt8](repeating: 0x20, count: Limits.bodyBytesMax + 1)
    let problem = #expect(throws: Problem.self) { try read(large) }
    #expect(problem?.code == .payloadTooLarge)
  }

  @Test func everyCutIsRefused() {
    let whole =
      #"{"resource_paths":["a","b"],"ttl_seconds":1.5e1,"metadata":{"k":"\u00e9"},"agent_id":"anna"}"#
    #expect(fault(whole) == nil)
    for length in 0..<whole.utf8.count {
      #expect(fault(String(decoding: whole.utf8.prefix(length), as: UTF8.self)) != nil, "\(length)")
    }
  }

  // MARK: Renewal

  @Test func aRenewalNamesItsLock() throws {
    let short = try renewal(#"{"lock_id":"\#(target.uppercased())"}"#)
    #expect(short.lockID.description == target && short.ttlMicroseconds == nil && short.agent == nil)
    let whole = try renewal(#"{"agent_id":"a","ttl_seconds":0.5,"lock_id":"\#(target)"}"#)
    #expect(whole.ttlMicroseconds == 500_000 && whole.agent == bytes("a"))
  }

  @Test(arguments: [
    ("{}", "/lock_id is required"), (#"{"lock_id":7}"#, "/lock_id must be a string"),
    (#"{"lock_id":"x"}"#, "/lock_id must be a UUID of version 7 (RFC 9562)"),
    (
      #"{"lock_id":"01900000-0000-4abc-8000-000000000002"}"#,
      "/lock_id must be a UUID of version 7 (RFC 9562)"
    ),
    (#"{"ttl_seconds":0}"#, "/ttl_seconds must be a number from 0.1 to 86400"),
    (#"{"wait_seconds":0}"#, "/wait_seconds is not a member of this object"),
    (#"{"ttl_seconds":1,"ttl_seconds":1}"#, "/ttl_seconds is given twice"),
  ])
  func refusesRenewals(_ text: String, _ detail: String) {
    let problem = #expect(throws: Problem.self) { try renewal(text) }
    #expect(problem?.detail == detail && problem?.status == 400)
  }

  // MARK: Who asks

  @Test func bodyAndCallerMustAgree() throws {
    func asker(_ body: String?, _ caller: String?, isAuthenticated: Bool = false) throws(Problem) -> String {
      let caller = caller.map { Body($0) }
      defer { withExtendedLifetime(caller) {} }
      let agent = try Asker.find(
        body: body.map { Array($0.utf8) }, caller: caller?.bytes, isAuthenticated: isAuthenticated)
      return String(decoding: try Asker.required(agent), as: UTF8.self)
    }
    #expect(try asker("anna", nil) == "anna")
    #expect(try asker(nil, "anna") == "anna")
    #expect(try asker("anna", "anna") == "anna")
    for (isAuthenticated, status) in [(false, 400), (true, 403)] {
      let problem = #expect(throws: Problem.self) {
        try asker("anna", "bob", isAuthenticated: isAuthenticated)
      }
      #expect(problem?.status == status && problem?.errors.first?.pointer == "/agent_id")
    }
    let nobody = #expect(throws: Problem.self) { try asker(nil, nil) }
    #expect(nobody?.detail == "/agent_id is required unless X-Agent-ID names the agent")
  }
}
