internal import CBytes

/// Finds names given twice in one object, whatever their spelling: `"a"` and `"\u0061"` are one name.
/// A few names are compared with all before them; an object with many is sorted once, at its end, so that
/// a hostile object costs n log n and never n². Objects nest: entries form a stack. Memory is reused.
public struct JSONKeys: ~Copyable {
  /// Members and elements in values that are passed over, of one text, limit: telling them all apart takes about 20 ms.
  public static let skippedMax = 131_072
  /// Up to this many names of an object are compared one by one.
  static let comparedMax = 64
  /// Memory for more entries than this isn't kept for the next document.
  static let keptMax = 128

  private struct Entry {
    var hash: UInt64
    var name: JSONString
  }

  private var entries: UnsafeMutableBufferPointer<Entry>
  private var count = 0

  public init() { entries = UnsafeMutableBufferPointer(start: nil, count: 0) }

  deinit { entries.deallocate() }

  /// Before each document.
  public mutating func reset() {
    count = 0
    if entries.count > Self.keptMax {
      entries.deallocate()
      entries = UnsafeMutableBufferPointer(start: nil, count: 0)
    }
  }

  /// Begins an object: what it returns names the object to `insert` and `end`.
  public func begin() -> Int { count }

  /// Adds a name to the object begun at `mark`; `text` is what the scanner scans.
  /// - Parameter hash: of the decoded name, by one function for all names of the object.
  public mutating func insert(
    _ name: JSONString, hash: UInt64, of text: UnsafeRawBufferPointer, since mark: Int
  ) throws(JSONError) {
    if count - mark < Self.comparedMax {
      for n in mark..<count where entries[n].hash == hash {
        if JSONText.order(entries[n].name, name, of: text) == 0 {
          throw JSONError(.duplicateMember, at: Int(name.start) - 1)
        }
      }
    }
    if count == entries.count { grow() }
    entries.initializeElement(at: count, to: Entry(hash: hash, name: name))
    count += 1
  }

  /// Ends the object begun at `mark`.
  public mutating func end(_ mark: Int, of text: UnsafeRawBufferPointer) throws(JSONError) {
    defer { count = mark }
    guard count - mark > Self.comparedMax else { return }
    var names = UnsafeMutableBufferPointer(rebasing: entries[mark..<count])
    names.sort { a, b in
      a.hash != b.hash ? a.hash < b.hash : JSONText.order(a.name, b.name, of: text) < 0
    }
    for n in 1..<names.count where names[n - 1].hash == names[n].hash {
      if JSONText.order(names[n - 1].name, names[n].name, of: text) == 0 {
        throw JSONError(.duplicateMember, at: Int(max(names[n - 1].name.start, names[n].name.start)) - 1)
      }
    }
  }

  private mutating func grow() {
    let larger = UnsafeMutableBufferPointer<Entry>.allocate(capacity: max(16, entries.count * 2))
    _ = larger.moveInitialize(fromContentsOf: UnsafeMutableBufferPointer(rebasing: entries[0..<count]))
    entries.deallocate()
    entries = larger
  }
}
