/// Why a request can't be understood: the closed list of what this floor refuses. Each has the status that
/// the peer is told. What `HeadParser` and `BodyDecoder` refuse leaves unknown where the next request begins:
/// answer and close.
public enum HTTPError: UInt8, Error, Equatable, Sendable, CaseIterable {
  case bareCarriageReturn, bareLineFeed, controlCharacter
  case malformedRequestLine, malformedMethod, unknownMethod, malformedTarget, wrongTargetForm
  case malformedVersion, unsupportedVersion
  case malformedFieldName, spaceBeforeColon, missingColon, foldedField, repeatedField
  case missingHost, invalidHost, hostMismatch
  case invalidContentLength, lengthAndCoding, codingInOldVersion, invalidTransferCoding
  case unsupportedTransferCoding, unsupportedExpectation
  case requestLineTooLong, headTooLarge, tooManyFields, fieldNameTooLong
  case malformedChunkSize, malformedChunkExtension, chunkExtensionsTooLarge, malformedChunkEnd
  case malformedTrailer, trailersTooLarge, bodyTooLarge
  case requestTimeout
  case malformedPercentEncoding, invalidUTF8

  /// The status code of the answer. A target that is too long is a 431 as the rest of a large head is.
  public var status: Status {
    switch self {
    case .requestTimeout: .requestTimeout
    case .bodyTooLarge: .contentTooLarge
    case .unsupportedExpectation: .expectationFailed
    case .requestLineTooLong, .headTooLarge, .tooManyFields, .fieldNameTooLong, .trailersTooLarge:
      .requestHeaderFieldsTooLarge
    case .unknownMethod, .unsupportedTransferCoding: .notImplemented
    case .unsupportedVersion: .httpVersionNotSupported
    default: .badRequest
    }
  }

  /// One short sentence for the `detail` of the answer.
  public var reason: StaticString {
    switch self {
    case .bareCarriageReturn: "a carriage return stands without a line feed"
    case .bareLineFeed: "a line ends in a line feed without a carriage return"
    case .controlCharacter: "the head contains a control character"
    case .malformedRequestLine: "the request line is not 'method target version'"
    case .malformedMethod: "the method is not a token"
    case .unknownMethod: "the method is not known (methods are upper case)"
    case .malformedTarget: "the request target contains a character that it must encode"
    case .wrongTargetForm: "the request target has not the form that this method takes"
    case .malformedVersion: "the version is not 'HTTP/' digit '.' digit"
    case .unsupportedVersion: "only HTTP/1.1 and HTTP/1.0 are spoken here"
    case .malformedFieldName: "a field name is empty or not a token"
    case .spaceBeforeColon: "white space stands between a field name and its colon"
    case .missingColon: "a field line has no colon"
    case .foldedField: "a field line begins with white space (line folding is obsolete)"
    case .repeatedField: "a field that may stand once is repeated"
    case .missingHost: "the Host field is missing"
    case .invalidHost: "the Host field or the authority of the target is invalid"
    case .hostMismatch: "the authority of the target differs from the Host field"
    case .invalidContentLength: "Content-Length is not one decimal number below 2^64"
    case .lengthAndCoding: "Content-Length and Transfer-Encoding exclude each other"
    case .codingInOldVersion: "HTTP/1.0 has no Transfer-Encoding"
    case .invalidTransferCoding: "the last transfer coding is not 'chunked', or it is not a list of codings"
    case .unsupportedTransferCoding: "no transfer coding but 'chunked' is understood"
    case .unsupportedExpectation: "no expectation but '100-continue' can be met"
    case .requestLineTooLong: "the request line is too long"
    case .headTooLarge: "the request head is too large"
    case .tooManyFields: "the request head has too many fields"
    case .fieldNameTooLong: "a field name is too long"
    case .malformedChunkSize: "a chunk size is not 1 to 16 hexadecimal digits"
    case .malformedChunkExtension: "a chunk extension is malformed"
    case .chunkExtensionsTooLarge: "the chunk extensions are too large"
    case .malformedChunkEnd: "a chunk does not end where its size says"
    case .malformedTrailer: "a trailer field is malformed"
    case .trailersTooLarge: "the trailer section is too large"
    case .bodyTooLarge: "the request body is too large"
    case .requestTimeout: "the request did not arrive in time"
    case .malformedPercentEncoding: "a percent sign is not followed by two hexadecimal digits"
    case .invalidUTF8: "percent-encoded text is not UTF-8"
    }
  }
}
