internal import Access
internal import ArgumentParser
internal import Glibc
internal import Model

/// `engram token …`: the tokens of the provider `token`.
struct Token: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make tokens for agents.", subcommands: [Create.self])

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a token and the line of the token file that knows it.",
      discussion: """
        The token, 256 random bits, is the one line on standard output; it is shown this once and kept nowhere. The \
        line for the token file has only the token's SHA-256: with --file it is appended there (the file is made with \
        mode 600 if it isn't there, and refused if others may read it), else it goes to standard error. A server reads \
        the file at start and on SIGHUP.

          engram token create --agent anna --role worker --file tokens > anna.token
        """)

    @Option(help: "The agent that the token stands for.")
    var agent: String

    @Option(
      name: .customLong("role"), parsing: .singleValue,
      help: "A role of the agent, for policies. May be given several times.")
    var roles: [String] = []

    @Option(
      help: """
        When the token ends: a time of RFC 3339, or a number of seconds, minutes, hours or days from now (90s, 30m, \
        12h, 365d). (default: never)
        """)
    var expires: String?

    @Option(help: "The token file to append to.")
    var file: String?

    func run() throws {
      let expiresAt = try expires.map { text in
        guard let moment = Expiry.read(text, now: UInt64(time(nil))) else {
          throw ValidationError(
            "--expires \(text): expected a time such as 2030-01-31T00:00:00Z, or 90s, 30m, 12h, 365d")
        }
        return moment
      }
      guard let token = NewToken.make() else {
        throw Complaint.failed(EX_OSERR, "the system has no random bits")
      }
      let line: String
      do throws(TokenLine.Fault) {
        line = try TokenLine(agent: Array(agent.utf8), roles: roles, token: token, expiresAt: expiresAt).text
      } catch {
        throw ValidationError("the line \(error.rawValue)")
      }
      if let file {
        do throws(TokenFile.Failure) { try TokenFile.append(line, to: file) } catch {
          throw Complaint.failed(error.exitCode, "\(file): \(error.description)")
        }
      } else {
        Complaint.say("\(line)\n")
      }
      print(token)
    }
  }
}

/// What is told on standard error.
enum Complaint {
  static func say(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  static func failed(_ exitCode: Int32, _ text: String) -> ExitCode {
    say("engram token create: \(text)\n")
    return ExitCode(exitCode)
  }
}

/// When a token ends.
enum Expiry {
  /// Seconds since 1970 of a time, or of so long from now. Nil for what is neither, and for what is over.
  static func read(_ text: String, now: UInt64) -> UInt64? {
    let bytes = Array(text.utf8)
    if let unit = bytes.last.flatMap(seconds), bytes.count <= 10,
      let count = UInt64(String(decoding: bytes.dropLast(), as: UTF8.self)), bytes[0] != UInt8(ascii: "+")
    {
      let end = now + count * unit
      return count > 0 && end <= CredentialLimits.timeMax ? end : nil
    }
    return bytes.withUnsafeBytes { TokenLine.time($0) }.flatMap { $0 > now ? $0 : nil }
  }

  private static func seconds(_ unit: UInt8) -> UInt64? {
    switch unit {
    case UInt8(ascii: "s"): 1
    case UInt8(ascii: "m"): 60
    case UInt8(ascii: "h"): 3600
    case UInt8(ascii: "d"): 86_400
    default: nil
    }
  }
}

/// The token file, as the command appends to it.
enum TokenFile {
  enum Failure: Error {
    case call(String, Int32)
    case notRegular
    case mode(mode_t)
    case full

    var description: String {
      switch self {
      case .call(let name, let code): "\(name): \(String(cString: strerror(code)))"
      case .notRegular: "is no regular file"
      case .mode(let mode):
        "others may read or write it (mode \(String(mode, radix: 8))), and no server would take it: chmod 600"
      case .full: "has no room for another token"
      }
    }

    var exitCode: Int32 {
      switch self {
      case .call: EX_IOERR
      case .notRegular, .mode, .full: EX_CONFIG
      }
    }
  }

  /// Appends a line durably, and whole or not at all: in one write, under a lock against others who append. A last line
  /// that has no end gets one.
  static func append(_ line: String, to path: String) throws(Failure) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .call("open", errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .call("fstat", errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular }
    guard status.st_mode & 0o027 == 0 else { throw .mode(status.st_mode & 0o777) }
    guard flock(descriptor, LOCK_EX) == 0 else { throw .call("flock", errno) }
    // Again: somebody may have appended meanwhile.
    guard fstat(descriptor, &status) == 0 else { throw .call("fstat", errno) }
    var text = Array("\(line)\n".utf8)
    if status.st_size > 0 {
      var last: UInt8 = 0
      guard pread(descriptor, &last, 1, status.st_size - 1) == 1 else { throw .call("pread", errno) }
      if last != 0x0A { text.insert(0x0A, at: 0) }
    }
    guard status.st_size + text.count <= CredentialLimits.tokenFileBytesMax else { throw .full }
    let written = write(descriptor, text, text.count)
    guard written == text.count else {
      let code = written < 0 ? errno : ENOSPC
      // What a full disk took of the line goes again: half a line would keep the server from starting.
      _ = ftruncate(descriptor, status.st_size)
      throw .call("write", code)
    }
    guard fsync(descriptor) == 0 else { throw .call("fsync", errno) }
  }
}
