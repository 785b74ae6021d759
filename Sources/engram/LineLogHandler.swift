internal import Glibc
internal import Logging
internal import Server

enum LogFormat: String {
  case text, json
}

/// One line per message on standard error, as text or as a JSON object. Nothing waits for a reader that stalls: what
/// it doesn't take is lost, and a later line says how many.
struct LineLogHandler: LogHandler {
  let format: LogFormat
  var logLevel = Logger.Level.info
  var metadata = Logger.Metadata()

  init(format: LogFormat) { self.format = format }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = metadata.merging(event.metadata ?? [:]) { _, new in new }
    LineOutput.standardError.write(line(event.level, "\(event.message)", fields)) { lost in
      line(.warning, "log lines were lost: standard error wasn't read in time", ["lines": "\(lost)"])
    }
  }

  private func line(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata) -> String {
    let fields = metadata.sorted { $0.key < $1.key }
    var line = ""
    switch format {
    case .text:
      line = "\(LineLogHandler.now()) \(level) \(LineLogHandler.printable(message))"
      for (key, value) in fields { line += " \(key)=\(LineLogHandler.printable("\(value)"))" }
    case .json:
      line = "{\"time\":\"\(LineLogHandler.now())\",\"level\":\"\(level)\",\"message\":"
      line += LineLogHandler.quoted(message)
      for (key, value) in fields {
        line += ",\(LineLogHandler.quoted(key)):\(LineLogHandler.quoted("\(value)"))"
      }
      line += "}"
    }
    return line + "\n"
  }

  /// RFC 3339, UTC.
  private static func now() -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    var parts = tm()
    gmtime_r(&time.tv_sec, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let milliseconds = time.tv_nsec / 1_000_000
    let fraction =
      milliseconds < 10 ? "00\(milliseconds)" : milliseconds < 100 ? "0\(milliseconds)" : "\(milliseconds)"
    return String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) + ".\(fraction)Z"
  }

  /// Control characters can't forge a line.
  private static func printable(_ text: String) -> String {
    String(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : Character($0) })
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
