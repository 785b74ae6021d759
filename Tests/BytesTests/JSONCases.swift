@testable import Bytes

/// Texts in the manner of JSONTestSuite (Seriot, "Parsing JSON is a Minefield").
enum JSONCases {
  static let alphabet = Array("{}[]:,\"\\u0123456789abcdefDdEe+-.ntrf \n\t\u{7F}é😀".utf8)

  static let accepted: [String] = [
    "{}", "[]", "null", "true", "false", "0", "-0", "1", "-1", "42", "\"\"", "\"a\"", " {} ", "\t[\n]\r\n",
    "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[[],[]]", "[{}]", "[null,true,false]", "[\"\"]", "[\"a\",\"b\"]",
    "0.0", "0.1", "-0.1", "1.5", "123.456", "1e1", "1E1", "1e+1", "1e-1", "1E+10", "1.5e3", "0e0", "0e+1",
    "0.0e-0", "1e999", "-1e-999", "10", "100", "-10", "1234567890", "0.123456789012345678901234567890",
    #"{"a":1}"#, #"{"a":1,"b":2}"#, #"{ "a" : 1 }"#, #"{"a":{"b":{"c":[]}}}"#, #"{"":0}"#,
    #"{"a":{},"b":{}}"#, #"[{"a":1},{"a":1}]"#, #"{"a":{"a":{"a":1}}}"#, #"{"A":1,"a":2}"#,
    #"{"a":1,"aa":2,"aaa":3}"#, #"{"\u0061":1,"b":2}"#,
    #""\"""#, #""\\""#, #""\/""#, #""\b\f\n\r\t""#, #""\u0000""#, #""\u001f""#, #""\u007F""#, #""\u00e9""#,
    #""\u00E9""#, #""\u4e2d""#, #""\uD83D\uDE00""#, #""\ud800\udc00""#, #""\uDBFF\uDFFF""#, #""\uE000""#,
    #""\uFFFF""#, #""\uFEFF""#, #""a\\""#, #""\\u0041""#, #""\\\"""#, #""\u0022""#, #""\u005C""#,
    "\"é\"", "\"中文\"", "\"😀\"", "\"\u{7F}\"", "\"\u{80}\"", "\"\u{2028}\u{2029}\"", "\"\u{10FFFF}\"",
    "\"\u{FFFE}\"", "\"\u{FEFF}\"", "\"/\"", "\"'\"", "\"a b\"", "\"0123456789abcdef\"",
    "\"0123456789abcdefé0123456789abcdef\"", "[\"x\",\n\"y\"]", "[1\n,2]", "[1\r,2]",
  ]

  static let refused: [(String, JSONError.Reason)] = [
    ("", .unexpectedEnd), (" ", .unexpectedEnd), ("\n", .unexpectedEnd), ("{", .unexpectedEnd),
    ("[", .unexpectedEnd), ("\"", .unexpectedEnd), ("[1", .unexpectedEnd), ("[1,", .unexpectedEnd),
    ("{\"a\"", .unexpectedEnd), ("{\"a\":", .unexpectedEnd), ("{\"a\":1", .unexpectedEnd),
    ("{\"a\":1,", .unexpectedEnd), ("\"a", .unexpectedEnd), ("\"\\", .unexpectedEnd), ("-", .unexpectedEnd),
    ("1.", .unexpectedEnd), ("1e", .unexpectedEnd), ("1e+", .unexpectedEnd), ("nul", .unexpectedEnd),
    ("tru", .unexpectedEnd), ("fals", .unexpectedEnd), ("[[", .unexpectedEnd),
    ("]", .unexpectedByte), ("}", .unexpectedByte), (",", .unexpectedByte), (":", .unexpectedByte),
    ("[,]", .unexpectedByte), ("[1,]", .unexpectedByte), ("[,1]", .unexpectedByte),
    ("[1,,2]", .unexpectedByte),
    ("[1 2]", .unexpectedByte), ("[1;2]", .unexpectedByte), ("[1}", .unexpectedByte), ("{]", .unexpectedByte),
    ("{,}", .unexpectedByte), (#"{"a":1,}"#, .unexpectedByte), (#"{"a"}"#, .unexpectedByte),
    (#"{"a" 1}"#, .unexpectedByte), (#"{"a":}"#, .unexpectedByte), (#"{:1}"#, .unexpectedByte),
    (#"{a:1}"#, .unexpectedByte), (#"{'a':1}"#, .unexpectedByte), (#"{1:1}"#, .unexpectedByte),
    (#"{"a"::1}"#, .unexpectedByte), (#"{"a":1 "b":2}"#, .unexpectedByte), (#"{"a":1]"#, .unexpectedByte),
    (#"{null:1}"#, .unexpectedByte), (#"{"a":1,,"b":2}"#, .unexpectedByte), (#"{"a",1}"#, .unexpectedByte),
    ("'a'", .unexpectedByte), ("a", .unexpectedByte), ("nan", .unexpectedByte), ("NaN", .unexpectedByte),
    ("Infinity", .unexpectedByte), ("-Infinity", .badNumber), ("True", .unexpectedByte),
    ("nulL", .unexpectedByte),
    ("truE", .unexpectedByte), ("fAlse", .unexpectedByte), ("undefined", .unexpectedByte),
    ("+1", .unexpectedByte), (".5", .unexpectedByte), ("\u{0B}1", .unexpectedByte),
    ("\u{0C}1", .unexpectedByte),
    ("\u{A0}1", .unexpectedByte), ("\u{00}", .unexpectedByte), ("// x\n1", .unexpectedByte),
    ("/* */1", .unexpectedByte), ("#1", .unexpectedByte), ("[1\u{0B}]", .unexpectedByte),
    ("01", .badNumber), ("-01", .badNumber), ("00", .badNumber), ("1.e1", .badNumber), ("[1.]", .badNumber),
    ("[-]", .badNumber), ("[1e]", .badNumber), ("[1e+]", .badNumber), ("--1", .badNumber), ("-a", .badNumber),
    ("[1.-1]", .badNumber), ("[-.5]", .badNumber), ("1.2.3", .trailingBytes), ("0x1", .trailingBytes),
    ("1a", .trailingBytes), ("1 2", .trailingBytes), ("1e1.5", .trailingBytes), ("1_000", .trailingBytes),
    ("{}{}", .trailingBytes), ("[][]", .trailingBytes), ("[]]", .trailingBytes), ("{}}", .trailingBytes),
    ("null,", .trailingBytes), ("true false", .trailingBytes), ("\"a\"\"b\"", .trailingBytes),
    ("{} // x", .trailingBytes), ("1\u{00}", .trailingBytes), ("nulll", .trailingBytes),
    ("{}\u{FEFF}", .trailingBytes), ("\u{FEFF}{}", .byteOrderMark), ("\u{FEFF}", .byteOrderMark),
    ("\"\n\"", .controlCharacter), ("\"\t\"", .controlCharacter), ("\"\u{00}\"", .controlCharacter),
    ("\"\u{1F}\"", .controlCharacter), ("\"a\rb\"", .controlCharacter), ("{\"a\n\":1}", .controlCharacter),
    (#""\a""#, .badEscape), (#""\x41""#, .badEscape), (#""\'""#, .badEscape), (#""\0""#, .badEscape),
    (#""\N""#, .badEscape), (#""\U0041""#, .badEscape), (#""\u004""#, .badEscape),
    (#""\u00g0 ""#, .badEscape),
    (#""\u 041""#, .badEscape), (#""\u+041""#, .badEscape), (#""\é""#, .badEscape), ("\"\\\n\"", .badEscape),
    ("\"\\\u{00}\"", .badEscape), (#""\ud800\u00g0""#, .badEscape), (#""\u""#, .unexpectedEnd),
    (#""\ud800""#, .loneSurrogate), (#""\udc00""#, .loneSurrogate), (#""\udfff abc""#, .loneSurrogate),
    (#""\ud83dx""#, .loneSurrogate), (#""\ud83d\n12345""#, .loneSurrogate),
    (#""\ud800\ud800""#, .loneSurrogate),
    (#""\ude00\ud83d""#, .loneSurrogate), (#""\ud83d\u0041""#, .loneSurrogate),
    (#"{"a":1,"a":2}"#, .duplicateMember), (#"{"a":1,"b":2,"a":3}"#, .duplicateMember),
    (#"{"a":1,"\u0061":2}"#, .duplicateMember), (#"{"":1,"":2}"#, .duplicateMember),
    (#"{"/":1,"\/":2}"#, .duplicateMember), (#"{"😀":1,"\ud83d\ude00":2}"#, .duplicateMember),
    (#"[[{"x":{"y":1,"z":2,"y":3}}]]"#, .duplicateMember), (#"{"a":{"b":1},"a":{}}"#, .duplicateMember),
  ]

  static let refusedBytes: [(String, JSONError.Reason)] = [
    ("22 80 22", .invalidUTF8), ("22 bf 22", .invalidUTF8), ("22 c0 80 22", .invalidUTF8),
    ("22 c1 bf 22", .invalidUTF8), ("22 c2 22", .invalidUTF8), ("22 c2 20 22", .invalidUTF8),
    ("22 e0 80 80 22", .invalidUTF8), ("22 e0 9f bf 22", .invalidUTF8), ("22 e1 80 22", .invalidUTF8),
    ("22 ed a0 80 22", .invalidUTF8), ("22 ed bf bf 22", .invalidUTF8), ("22 ef bf 22", .invalidUTF8),
    ("22 f0 80 80 80 22", .invalidUTF8), ("22 f0 8f bf bf 22", .invalidUTF8),
    ("22 f0 90 80 22", .invalidUTF8),
    ("22 f4 90 80 80 22", .invalidUTF8), ("22 f5 80 80 80 22", .invalidUTF8),
    ("22 f8 88 80 80 80 22", .invalidUTF8),
    ("22 fe 22", .invalidUTF8), ("22 ff 22", .invalidUTF8), ("22 c3 a9 80 22", .invalidUTF8),
    ("22 c3", .invalidUTF8), ("22 f0 9f 98", .invalidUTF8), ("5b ff 5d", .unexpectedByte),
    ("ff fe 7b 00", .unexpectedByte),
    ("00 7b 00 7d", .unexpectedByte), ("ef bb bf 7b 7d", .byteOrderMark), ("ef bb", .unexpectedByte),
    ("5c 75 30 30 32 32", .unexpectedByte), ("22 5c 75 d8 00 30 30 22", .badEscape),
    ("7b 22 ff 22 3a 31 7d", .invalidUTF8),
  ]

  static func bytes(_ hex: String) -> [UInt8] {
    hex.split(separator: " ").compactMap { UInt8($0, radix: 16) }
  }
}
