internal import EventLoop
internal import Glibc
internal import Model
internal import Search
internal import Storage
internal import WAL

/// What `engram verify` prints.
public enum VerifyReport {
  /// Reads log, store and search index of a stopped server whole, and compares them. Blocks, changes nothing.
  /// - Parameter progress: told what is being read, now and then.
  /// - Returns: the text, and the exit code: 1 if there is damage.
  public static func make(
    dataDirectory: String, progress: @escaping (String) -> Void
  ) throws(ServerFailure) -> (text: String, exitCode: Int32) {
    let hasLog = access("\(dataDirectory)/wal", F_OK) == 0
    let hasStore = access("\(dataDirectory)/db/CURRENT", F_OK) == 0
    guard hasLog || access("\(dataDirectory)/db", F_OK) == 0 else {
      throw ServerFailure(EX_NOINPUT, "there is neither log nor store in \(dataDirectory)")
    }
    let lock: DirectoryLock
    do throws(DirectoryLock.Failure) {
      lock = try DirectoryLock(dataDirectory)
    } catch {
      guard case .held = error else { throw ServerFailure(EX_CANTCREAT, "can't lock \(dataDirectory)") }
      throw ServerFailure(EX_CANTCREAT, "a server is using \(dataDirectory); stop it first")
    }
    defer { withExtendedLifetime(lock) {} }
    var report = Report()
    let store = hasStore ? report.open("\(dataDirectory)/db", progress) : nil
    defer { store?.close() }
    let search = store.flatMap { report.openSearch(dataDirectory, $0, progress) }
    if hasLog { try report.readLog("\(dataDirectory)/wal", store, progress) }
    if let store {
      store.run()
      report.add(store)
      if let search { report.add(search, store) }
    } else if !hasStore {
      report.lines.append("store: none")
      if report.logBegins > Position(1) {
        report.find("there is no store, and the log doesn't go back to its start")
      }
    }
    return report.finish()
  }
}

private final class SearchFailure {
  var error: SearchError?
}

/// What was found, as it comes together.
private struct Report {
  var lines: [String] = []
  /// The first position that the log holds, and the last.
  var logBegins = Position.zero
  private var logEnds = Position.zero
  private var findings: [String] = []
  private var count = 0
  private var isSearchDamaged = false
  /// The first unit that couldn't be taken apart, for want of memory.
  private let searchFailure = SearchFailure()

  mutating func find(_ text: String) {
    findings.append(text)
    count += 1
  }

  mutating func open(_ path: String, _ progress: @escaping (String) -> Void) -> StoreVerification? {
    do throws(StoreError) {
      let store = try StoreVerification(path: path)
      store.progress = { progress("store: \($0.name), \($1) entries") }
      return store
    } catch {
      find("the store can't be opened: \(error.message)")
      return nil
    }
  }

  mutating func readLog(
    _ path: String, _ store: StoreVerification?, _ progress: (String) -> Void
  ) throws(ServerFailure) {
    let loop: EventLoop
    do throws(RingError) {
      loop = try EventLoop(index: 0)
    } catch {
      throw ServerFailure(EX_UNAVAILABLE, "\(error)")
    }
    var records: UInt64 = 0
    var bytes: UInt64 = 0
    var first: Position?
    let inspection: LogInspection
    do throws(DiskError) {
      inspection = try LogInspection.run(try RingDisk(path: path, loop: loop)) { batch in
        if batch.count > 0, first == nil { first = batch.firstPosition }
        for offset in 0..<batch.count { store?.logRecord(batch.record(offset)) }
        records += UInt64(batch.count)
        bytes += UInt64(batch.paddedBytes)
        progress("log: \(records) records, \(bytes >> 20) MiB")
      }
    } catch {
      return find(
        "the log can't be read: \(error.operation) \(error.file): \(String(cString: strerror(error.code)))")
    }
    for finding in inspection.findings { find("\(finding)") }
    logBegins = first ?? .zero
    logEnds = inspection.tail?.lastPosition ?? .zero
    let live = inspection.segments.count { $0.state == .live }
    lines.append(
      "log: \(live) segments, \(bytes) bytes, \(records) records"
        + (records > 0 ? ", positions \(logBegins.rawValue) to \(logEnds.rawValue)" : ""))
    if let torn = inspection.tornTail {
      lines.append("log: a torn tail that was never acknowledged, \(torn.count) records in \(torn.file)")
    }
    guard let store else { return }
    compare(store, inspection)
  }

  /// Whether the log belongs to the store, and goes on where the store ends.
  private mutating func compare(_ store: StoreVerification, _ inspection: LogInspection) {
    if let log = inspection.log {
      let uuid = [log.first, log.second].flatMap { word in
        withUnsafeBytes(of: word.littleEndian) { [UInt8]($0) }
      }
      if let own = store.logUUID, uuid != own {
        find("the store belongs to another log than the one in wal/")
      }
    }
    guard inspection.findings.isEmpty else { return }
    if store.marks.highest > logEnds {
      find("the store has position \(store.marks.highest.rawValue), but the log ends at \(logEnds.rawValue)")
    }
    if logEnds > store.marks.lowest, logBegins > store.marks.lowest.next {
      find(
        "the log begins at position \(logBegins.rawValue), but the store has persisted only "
          + "\(store.marks.lowest.rawValue)")
    }
  }

  mutating func add(_ store: StoreVerification) {
    for family in store.families {
      lines.append(
        "store: \(family.family.name): \(family.entries) entries, \(family.bytes) bytes, applied through "
          + "\(family.mark.rawValue)" + (family.isWhole ? "" : ", NOT READ TO ITS END"))
    }
    lines.append("store: \(store.comparedRecords) records are in the log too")
    findings += store.findings
    count += store.findingCount
  }

  // MARK: The search index

  /// Nil: there is none, or none that can be read.
  mutating func openSearch(
    _ directory: String, _ store: StoreVerification, _ progress: @escaping (String) -> Void
  ) -> SearchVerification? {
    do throws(SearchError) {
      guard let search = try SearchVerification(directory: directory) else {
        lines.append("search index: none")
        return nil
      }
      search.progress = { progress("search index: part \($0), \($1) words") }
      store.unit = { [searchFailure] unit in
        do throws(SearchError) { try search.expect(unit) } catch { searchFailure.error = error }
      }
      return search
    } catch {
      findSearch("\(error.operation): \(error.message)")
      return nil
    }
  }

  mutating func add(_ search: SearchVerification, _ store: StoreVerification) {
    do throws(SearchError) {
      if let error = searchFailure.error { throw error }
      var found = try search.run()
      if let uuid = store.logUUID, uuid.count == search.log.count, uuid != search.log {
        found.insert("it is of another log", at: 0)
      }
      // What is indexed was applied; the store may have lost that in a crash, but then the log has it.
      let known = max(store.marks.highest, logEnds)
      if search.watermark > known {
        found.insert(
          "it says that it holds position \(search.watermark.rawValue), but the log ends at \(known.rawValue)",
          at: 0)
      }
      for finding in found { findSearch(finding) }
      if found.isEmpty {
        lines.append(
          "search index: complete to position \(search.watermark.rawValue), \(search.units) units")
      }
    } catch {
      findSearch("\(error.operation): \(error.message)")
    }
  }

  private mutating func findSearch(_ text: String) {
    find("search index: \(text)")
    isSearchDamaged = true
  }

  func finish() -> (text: String, exitCode: Int32) {
    var lines = lines + findings.map { "damage: \($0)" }
    if count > findings.count { lines.append("damage: and \(count - findings.count) more") }
    if isSearchDamaged {
      lines.append(
        "search index: delete search/ in the data directory; the server makes it anew from the store")
    }
    lines.append(count == 0 ? "no damage" : "\(count) findings")
    return (lines.joined(separator: "\n"), count == 0 ? 0 : 1)
  }
}
