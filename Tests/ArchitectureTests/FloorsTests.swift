// The floors of the design, section 6: a target imports only from floors below its own.

import Testing

/// Who stands where. A new target is given its floor here, and in the table of `Sources/ARCHITECTURE.md`.
private let floors: [[String]] = [
  /* 0 */ [
    "Bytes", "Model", "Telemetry", "CBytes", "CIOUring", "CRocksDB", "CRocksExtras", "CSQLite", "CSearch",
    "COpenSSL", "CTOML",
  ],
  /* 1 */ ["EventLoop", "HTTP", "Locks", "Router", "Access"],
  /* 2 */ ["WAL", "Storage", "Search", "Notifier", "Settings"],
  /* 3 */ ["Engine"],
  /* 4 */ ["API"],
  /* 5 */ ["Server"],
  /* 6 */ ["engram"],
]

/// Neighbours on one floor that may be imported all the same. Nothing else may.
private let exceptions: [String: Set<String>] = [
  // A C target has no floor of its own: it is how Swift calls the processor or a library.
  "Bytes": ["CBytes"],
  // Nouns are read from and written to bytes.
  "Model": ["Bytes"],
]

/// Modules from outside the house, and who may use them.
private let outside: [String: Set<String>?] = [
  "Glibc": nil,  // nil: everybody
  "Synchronization": nil,
  "Logging": ["Server", "engram"],
  "ArgumentParser": ["engram"],
]

/// Faulty twins and clocks for tests stand beside the floors: nothing of the product may import them.
private let testing = "EngramTesting"

private func floor(of target: String) -> Int? {
  floors.firstIndex { $0.contains(target) }
}

/// Why this target may not import that module; nil when it may.
private func objection(to module: String, importedBy target: String) -> String? {
  if let users = outside[module] {
    guard let users, !users.contains(target) else { return nil }
    return "\(module) is for \(users.sorted().joined(separator: ", ")) only"
  }
  guard let theirs = floor(of: module) else {
    return "\(module) stands on no floor and is no permitted dependency"
  }
  guard target != testing else {
    return theirs < 4 ? nil : "\(testing) reaches up to floor 3, and \(module) is on floor \(theirs)"
  }
  guard let own = floor(of: target) else { return "\(target) stands on no floor" }
  if theirs < own || exceptions[target, default: []].contains(module) { return nil }
  return theirs == own
    ? "\(module) is a neighbour on floor \(own)" : "\(module) is upstairs, on floor \(theirs)"
}

@Suite struct FloorsTests {
  @Test func everyTargetStandsOnAFloor() {
    let targets = SourceTree.folders(in: "Sources")
    #expect(targets.count > 10, "the sources were not found below \(SourceTree.root)")
    for target in targets {
      #expect(floor(of: target) != nil || target == testing, "\(target) stands on no floor")
    }
  }

  @Test func everyImportPointsDownstairs() {
    for file in SourceTree.files(in: "Sources") {
      for (line, module) in file.imports {
        if let objection = objection(to: module, importedBy: file.target) {
          Issue.record("\(file.path):\(line): \(objection)")
        }
      }
    }
  }

  @Test func noFoundationAndNoSwiftNIO() {
    for file in SourceTree.files(in: "Sources") {
      for (line, module) in file.imports where module.hasPrefix("Foundation") || module.hasPrefix("NIO") {
        Issue.record("\(file.path):\(line): \(module) has no place in the server")
      }
    }
    for (index, line) in SourceTree.lines(of: "Package.swift").enumerated() where line.contains("swift-nio") {
      Issue.record("Package.swift:\(index + 1): SwiftNIO has no place in the graph")
    }
  }

  @Test(arguments: [
    ("Bytes", "WAL"), ("EventLoop", "WAL"), ("Bytes", "Model"), ("CBytes", "Bytes"),
    ("HTTP", "Notifier"), ("Router", "Notifier"), ("CIOUring", "EventLoop"), ("Telemetry", "EventLoop"),
    ("Glibc", "Bytes"), ("Logging", "Server"), ("Engine", "EngramTesting"),
  ])
  func permits(module: String, target: String) {
    #expect(objection(to: module, importedBy: target) == nil)
  }

  @Test(arguments: [
    ("Engine", "WAL"), ("Storage", "WAL"), ("HTTP", "EventLoop"), ("Model", "Bytes"), ("Telemetry", "Model"),
    ("Foundation", "engram"), ("NIOCore", "Server"), ("Dispatch", "EventLoop"), ("ArgumentParser", "Server"),
    ("Logging", "WAL"), ("EngramTesting", "Engine"), ("Server", "EngramTesting"), ("Bytes", "NoSuchTarget"),
  ])
  func refuses(module: String, target: String) {
    #expect(objection(to: module, importedBy: target) != nil)
  }

  @Test(arguments: [
    ("import Bytes", "Bytes"), ("public import Model", "Model"), ("internal import Glibc", "Glibc"),
    ("@preconcurrency import Logging", "Logging"), ("@_spi(X) public import HTTP", "HTTP"),
    ("@_exported import Bytes", "Bytes"), ("import struct Model.Unit", "Model"),
    ("  import WAL // why", "WAL"),
    ("import Foundation.NSString", "Foundation"), ("import Glibc;", "Glibc"),
  ])
  func reads(line: String, module: String) {
    #expect(SourceFile.module(importedBy: line) == module)
  }

  @Test(arguments: ["// import Foundation", "let important = 1", "func import_() {}", "\"import x\"", ""])
  func ignores(line: String) {
    #expect(SourceFile.module(importedBy: line) == nil)
  }
}
