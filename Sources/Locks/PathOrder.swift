internal import Glibc

/// Paths in the order of their bytes, in pieces of at most `pieceMax`: adding or removing one of 100,000 moves no more
/// than a piece of them, and two binary searches find a prefix.
struct PathOrder {
  static let pieceMax = 256

  /// None is empty. Each is in order, and all of a piece precede all of the next one.
  private var pieces: ContiguousArray<ContiguousArray<[UInt8]>> = []
  private(set) var count = 0

  /// A place between paths.
  struct Place {
    fileprivate var piece: Int
    fileprivate var index: Int
  }

  /// Adds a path that isn't there.
  mutating func insert(_ path: [UInt8]) {
    count += 1
    guard !pieces.isEmpty else {
      pieces.append([path])
      return
    }
    let place = place(of: path)
    pieces[place.piece].insert(path, at: place.index)
    guard pieces[place.piece].count > Self.pieceMax else { return }
    let half = pieces[place.piece].count / 2
    pieces.insert(ContiguousArray(pieces[place.piece][half...]), at: place.piece + 1)
    pieces[place.piece].removeSubrange(half...)
  }

  mutating func remove(_ path: [UInt8]) {
    guard !pieces.isEmpty else { return }
    let place = place(of: path)
    guard place.index < pieces[place.piece].count, pieces[place.piece][place.index] == path else { return }
    count -= 1
    pieces[place.piece].remove(at: place.index)
    let left = pieces[place.piece].count
    if left == 0 {
      pieces.remove(at: place.piece)
    } else if place.piece + 1 < pieces.count, left + pieces[place.piece + 1].count <= Self.pieceMax / 2 {
      pieces[place.piece] += pieces.remove(at: place.piece + 1)
    }
  }

  /// The place in front of the first path that is not before `bound`, or, `isBehind`, that is behind it.
  func start(at bound: [UInt8], isBehind: Bool) -> Place {
    guard !pieces.isEmpty else { return Place(piece: 0, index: 0) }
    var place = place(of: bound)
    if isBehind, place.index < pieces[place.piece].count, pieces[place.piece][place.index] == bound {
      place.index += 1
    }
    return place
  }

  /// The path behind `place`, which moves on; nil at the end.
  func next(_ place: inout Place) -> [UInt8]? {
    while place.piece < pieces.count {
      if place.index < pieces[place.piece].count {
        defer { place.index += 1 }
        return pieces[place.piece][place.index]
      }
      place = Place(piece: place.piece + 1, index: 0)
    }
    return nil
  }

  /// Where a path stands, or would stand. Requires a piece.
  private func place(of path: [UInt8]) -> Place {
    // The last piece that begins at or before it, or the first one.
    let behind = Self.first(0..<pieces.count) { Self.precedes(path, pieces[$0][0]) }
    let piece = max(behind - 1, 0)
    let index = Self.first(0..<pieces[piece].count) { !Self.precedes(pieces[piece][$0], path) }
    return Place(piece: piece, index: index)
  }

  /// The first index for which `test` holds, which holds for all behind it too; the range's end if there is none.
  @inline(__always)
  private static func first(_ range: Range<Int>, where test: (Int) -> Bool) -> Int {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = (low + high) / 2
      if test(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// Whether `a` is before `b`, compared as bytes.
  static func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.withUnsafeBytes { a in
      b.withUnsafeBytes { b in
        let common = min(a.count, b.count)
        guard common > 0, let first = a.baseAddress, let second = b.baseAddress else {
          return a.count < b.count
        }
        let order = memcmp(first, second, common)
        return order != 0 ? order < 0 : a.count < b.count
      }
    }
  }

  /// For tests.
  var isSound: Bool {
    let all = pieces.flatMap { $0 }
    return all.count == count && pieces.allSatisfy { !$0.isEmpty && $0.count <= Self.pieceMax }
      && zip(all, all.dropFirst()).allSatisfy { Self.precedes($0, $1) }
  }
}
