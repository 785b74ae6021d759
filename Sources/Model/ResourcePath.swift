internal import Bytes

/// Paths of what locks protect. In canonical form, segments joined by one `/` without a leading one, two
/// spellings are one path or an error.
public enum ResourcePath {
  public enum Fault: Error, Hashable, Sendable {
    case empty, tooLong, emptySegment, dotSegment, controlCharacter, invalidUTF8

    public var detail: String {
      switch self {
      case .empty: "must not be empty"
      case .tooLong: "must be at most \(Limits.resourcePathBytesMax) bytes"
      case .emptySegment: "must not hold an empty segment or end with a slash"
      case .dotSegment: "must not hold a segment \".\" or \"..\""
      case .controlCharacter: "must not hold control characters"
      case .invalidUTF8: "must be UTF-8"
      }
    }
  }

  /// The canonical form of `path`, copied.
  public static func canonical(_ path: [UInt8]) throws(Fault) -> [UInt8] {
    let copied = path.withUnsafeBytes { bytes -> Result<[UInt8], Fault> in
      do throws(Fault) { return .success(Array(try canonical(bytes))) } catch { return .failure(error) }
    }
    return try copied.get()
  }

  /// The canonical form of `path`: a part of its own memory, as only a leading slash is dropped.
  public static func canonical(_ path: UnsafeRawBufferPointer) throws(Fault) -> UnsafeRawBufferPointer {
    let start = path.first == UInt8(ascii: "/") ? 1 : 0
    let canonical = UnsafeRawBufferPointer(rebasing: path[start...])
    guard !canonical.isEmpty else { throw .empty }
    guard canonical.count <= Limits.resourcePathBytesMax else { throw .tooLong }
    guard JSONText.isUTF8(canonical) else { throw .invalidUTF8 }
    guard !JSONText.hasControl(canonical) else { throw .controlCharacter }
    var segment = 0
    for n in 0...canonical.count where n == canonical.count || canonical[n] == UInt8(ascii: "/") {
      let length = n - segment
      if length == 0 { throw .emptySegment }
      if canonical[segment] == UInt8(ascii: "."),
        length == 1 || (length == 2 && canonical[segment + 1] == UInt8(ascii: "."))
      {
        throw .dotSegment
      }
      segment = n + 1
    }
    return canonical
  }
}
