// Reads the checkout that this test was compiled from, with the C library alone.

import Glibc

/// One text file of the repository.
struct SourceFile: CustomStringConvertible, Sendable {
  /// Relative to the root, such as `Sources/WAL/Segment.swift`.
  let path: String
  let lines: [String]

  var description: String { path }

  /// The folder below `Sources` or `Tests`, which is the target's name.
  var target: String {
    let parts = path.split(separator: "/")
    return parts.count > 2 ? String(parts[1]) : ""
  }

  /// The comment that the file begins with: its leading lines that start with `//` or are blank.
  var header: String {
    lines.prefix { $0.hasPrefix("//") || $0.allSatisfy(\.isWhitespace) }.joined(separator: "\n")
  }

  /// Modules named by `import` lines, whatever attribute, access level or kind stands with them.
  var imports: [(line: Int, module: String)] {
    lines.enumerated().compactMap { index, line in
      SourceFile.module(importedBy: line).map { (index + 1, $0) }
    }
  }

  /// The module that this line imports; nil when it is no import.
  static func module(importedBy line: String) -> String? {
    var words = line.split(whereSeparator: \.isWhitespace)[...]
    let leading: Set<Substring> = ["public", "internal", "package", "fileprivate", "private"]
    while let word = words.first, word.hasPrefix("@") || leading.contains(word) { words.removeFirst() }
    guard words.popFirst() == "import" else { return nil }
    let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
    if let kind = words.first, kinds.contains(kind) { words.removeFirst() }
    return words.first?.split(whereSeparator: { $0 == "." || $0 == ";" }).first.map(String.init)
  }

  /// The line without the comment at its end. (A `//` inside a string also ends it: too little is checked then, not
  /// too much.)
  static func code(of line: String) -> Substring {
    var previous: Character = " "
    for index in line.indices {
      if line[index] == "/" && previous == "/" { return line[..<line.index(before: index)] }
      previous = line[index]
    }
    return line[...]
  }
}

enum SourceTree {
  /// The root of the checkout: three folders up from this file.
  static let root: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(3).joined(separator: "/")
  }()

  /// Every file below a folder of the root whose name has this ending, in order of path.
  static func files(in folder: String, ending: String = ".swift") -> [SourceFile] {
    names(in: folder).flatMap { name, isFolder -> [SourceFile] in
      let path = "\(folder)/\(name)"
      if isFolder { return files(in: path, ending: ending) }
      return name.hasSuffix(ending) ? [SourceFile(path: path, lines: lines(of: path))] : []
    }
  }

  /// The folders right below a folder of the root.
  static func folders(in folder: String) -> [String] {
    names(in: folder).filter(\.isFolder).map(\.name)
  }

  static func lines(of path: String) -> [String] {
    guard let file = fopen("\(root)/\(path)", "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
      .map(String.init)
  }

  private static func names(in folder: String) -> [(name: String, isFolder: Bool)] {
    guard let directory = opendir("\(root)/\(folder)") else { return [] }
    defer { closedir(directory) }
    var found: [(name: String, isFolder: Bool)] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard !name.hasPrefix(".") else { continue }
      var status = stat()
      guard stat("\(root)/\(folder)/\(name)", &status) == 0 else { continue }
      found.append((name, status.st_mode & S_IFMT == S_IFDIR))
    }
    return found.sorted { $0.name < $1.name }
  }
}
