import Access
import CAccessTesting
import Testing

@Suite struct KeySetTests {
  static let desk = Desk.shared

  private func fault(_ keys: String) -> KeySetError.Fault? {
    do throws(KeySetError) {
      _ = try keySet(keys)
      return nil
    } catch {
      #expect(!error.description.isEmpty)
      return error.fault
    }
  }

  @Test func takesEachType() throws {
    let desk = Self.desk
    let list = [desk.secretKey, desk.rsaKey, desk.p256Key, desk.ed25519Key].joined(separator: ",")
    let set = try keySet(#"{"keys":[\#(list)],"other":{"keys":[1]}}"#)
    #expect(set.keys.map(\.algorithm) == [.hs256, .rs256, .es256, .edDSA])
    #expect(set.holdsSecrets)
    #expect(try !keySet(#"{"keys":[\#(desk.p256Key)]}"#).holdsSecrets)
  }

  /// One sound key beside one that is for something else: the other is passed over.
  @Test(arguments: [
    #"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#, #"{"kty":"OKP","crv":"X25519","x":"AA"}"#,
    #"{"kty":"new"}"#,
    #"{"kty":"oct","alg":"HS512","k":"AA"}"#, #"{"kty":"RSA","alg":"PS256","n":"AA","e":"AQAB"}"#,
    #"{"kty":"RSA","use":"enc","n":"AA","e":"AQAB"}"#,
    #"{"kty":"RSA","key_ops":["encrypt"],"n":"AA","e":"AQAB"}"#,
    #"{"kty":"oct","key_ops":[],"k":"AA"}"#, #"{"kty":"OKP","crv":"ed25519","x":"AA"}"#, #"{"kty":"rsa"}"#,
  ])
  func passesOver(key: String) throws {
    #expect(try keySet(#"{"keys":[\#(key),\#(Self.desk.p256Key)]}"#).keys.count == 1)
    #expect(fault(#"{"keys":[\#(key)]}"#) == KeySetError.Fault.none)
  }

  private static let secret31 = base64([UInt8](repeating: 7, count: 31))
  private static let secret32 = base64([UInt8](repeating: 7, count: 32))

  private static var refused: [(String, KeySetError.Fault)] {
    let (n, x, y) = (desk.rsa.encoded("n"), desk.p256.encoded("x"), desk.p256.encoded("y"))
    let point = desk.ed25519.encoded("x")
    let small = TestKey(.rsa(bits: 1024)).encoded("n")
    let even = base64(desk.rsa.part("n").dropLast() + [0])
    let large = base64([UInt8](repeating: 0xFF, count: 1025))
    let exponent3 = TestKey(.rsa(bits: 2048, exponent: 3))
    let zero = base64([UInt8](repeating: 0, count: 32))
    return [
      (#"{"kty":"oct","k":"\#(secret31)"}"#, .secret), (#"{"kty":"oct","k":""}"#, .secret),
      (#"{"kty":"oct","k":"\#(base64([UInt8](repeating: 7, count: 1025)))"}"#, .secret),
      (#"{"kty":"oct"}"#, .member), (#"{"kty":"oct","k":7}"#, .member), (#"{"k":"\#(secret32)"}"#, .member),
      (#"{"kty":7}"#, .member), (#"{"kty":"oct","k":"\#(secret32)","alg":1}"#, .member),
      (#"{"kty":"oct","k":"\#(secret32)","key_ops":"verify"}"#, .member),
      (#"{"kty":"oct","k":"\#(secret32)="}"#, .encoding), (#"{"kty":"oct","k":"\#(secret32) "}"#, .encoding),
      (#"{"kty":"oct","kid":"","k":"\#(secret32)"}"#, .keyID),
      (#"{"kty":"oct","kid":"\#(String(repeating: "k", count: 257))","k":"\#(secret32)"}"#, .keyID),
      (#"{"kty":"RSA","n":"\#(small)","e":"AQAB"}"#, .modulus),
      (#"{"kty":"RSA","n":"\#(large)","e":"AQAB"}"#, .modulus),
      (#"{"kty":"RSA","n":"\#(exponent3.encoded("n"))","e":"\#(exponent3.encoded("e"))"}"#, .exponent),
      (#"{"kty":"RSA","n":"\#(n)","e":"AQ"}"#, .exponent),
      (#"{"kty":"RSA","n":"\#(n)","e":"AQAA"}"#, .exponent),
      (#"{"kty":"RSA","n":"\#(n)","e":"\#(base64([UInt8](repeating: 1, count: 9)))"}"#, .exponent),
      (#"{"kty":"RSA","n":"\#(n)","e":"AAEAAQ"}"#, .encoding),
      (#"{"kty":"RSA","n":"AA","e":"AQAB"}"#, .encoding),
      (#"{"kty":"RSA","n":"\#(even)","e":"AQAB"}"#, .key), (#"{"kty":"RSA","n":"\#(n)"}"#, .member),
      (#"{"kty":"RSA","n":"\#(n)","e":"AQAB","d":"AQ"}"#, .privateKey),
      (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","d":"AQ"}"#, .privateKey),
      (#"{"kty":"OKP","crv":"Ed25519","x":"\#(point)","d":"AQ"}"#, .privateKey),
      (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(x)"}"#, .key),
      (#"{"kty":"EC","crv":"P-256","x":"\#(zero)","y":"\#(zero)"}"#, .key),
      (#"{"kty":"EC","crv":"P-256","x":"\#(base64(desk.p256.part("x").dropLast()))","y":"\#(y)"}"#, .key),
      (#"{"kty":"EC","crv":"P-256","x":"\#(x)"}"#, .member),
      (#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, .key),
      (#"{"kty":"OKP","crv":"Ed25519","x":"\#(zero)"}"#, .key),
      (#"{"kty":"OKP","crv":"Ed25519"}"#, .member),
    ]
  }

  @Test(arguments: refused) func refuses(key: String, why: KeySetError.Fault) {
    #expect(fault(#"{"keys":[\#(key),\#(Self.desk.p256Key)]}"#) == why)
  }

  /// Points of small order verify signatures that anybody can make.
  @Test(arguments: [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  ])
  func refusesPointsOfSmallOrder(point: String) {
    let x = base64(bytes(ofHexadecimal: point))
    #expect(fault(#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"\#(x)"}]}"#) == .key)
  }

  @Test(arguments: [
    "", "[]", "{}", "null", #"{"keys":{}}"#, #"{"keys":[1]}"#, #"{"keys":[[]]}"#, #"{"Keys":[]}"#,
    #"{"keys":[]"#,
    #"{"keys":[],"keys":[]}"#, #"{"keys":[{"kty":"oct","kty":"oct"}]}"#, #"{"keys":[]} x"#,
  ])
  func refusesTextsThatAreNoSets(text: String) { #expect(fault(text) == .json) }

  @Test func refusesNamesGivenTwiceForOneAlgorithm() throws {
    let desk = Self.desk
    #expect(fault(#"{"keys":[\#(desk.secretKey),\#(desk.secretKey)]}"#) == .duplicate)
    let named = desk.p256Key.replacing("\"es\"", with: "\"hs\"")
    #expect(try keySet(#"{"keys":[\#(desk.secretKey),\#(named)]}"#).keys.count == 2)
  }

  @Test func hasLimits() {
    let key = #"{"kty":"new"}"#
    let many = Array(repeating: key, count: CredentialLimits.keysMax + 1).joined(separator: ",")
    #expect(fault(#"{"keys":[\#(many)]}"#) == .tooMany)
    let long = String(repeating: " ", count: CredentialLimits.keyFileBytesMax)
    #expect(fault(#"{"keys":[]}\#(long)"#) == .tooLong)
  }
}
