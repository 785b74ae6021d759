// swift-tools-version: 6.3
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .enableUpcomingFeature("ImmutableWeakCaptures"),
  .treatAllWarnings(as: .error),
  // Checks of overlapping access stay on in the tests. In a release they cost 4 % of a request's CPU (measured).
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// A room of the house: its floor is named in `Sources/ARCHITECTURE.md`, and a test holds its imports to it.
func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, exclude: documents[name] ?? [], swiftSettings: settings)
}

func suite(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: dependencies, resources: resources, swiftSettings: settings)
}

/// Pages that live beside the code they describe.
let documents: [String: [String]] = [
  "API": ["LIMITS.md", "ThreatModel.md"],
  "Access": ["ACCESS.md", "POLICY.md"],
  "Engine": ["READS.md"],
  "EventLoop": ["EVENTLOOP.md"],
  "Search": ["SEARCH.md"],
  "Settings": ["SETTINGS.md"],
  "Storage": ["STORE.md"],
  "Telemetry": ["METRICS.md"],
  "WAL": ["WAL.md"],
]

let package = Package(
  name: "engram",
  products: [
    .executable(name: "engram", targets: ["engram"]),
    // For the package in `Benchmarks`.
    .library(name: "Workloads", targets: ["Workloads", "CAllocations"]),
    // For the package in `Fuzz`.
    .library(
      name: "Rooms",
      targets: [
        "Bytes", "Model", "HTTP", "Router", "Access", "Settings", "EventLoop", "WAL", "Engine", "API",
        "EngramTesting",
      ]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // Floor 0
    .target(
      name: "CIOUring", path: "CIOUring", cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.linkedLibrary("uring")]),
    .target(name: "CBytes", cSettings: [.unsafeFlags(["-O2"])]),
    .systemLibrary(name: "CRocksDB", providers: [.apt(["librocksdb-dev"])]),
    .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .target(
      name: "CSearch", dependencies: ["CBytes"], cSettings: [.unsafeFlags(["-O2"])],
      linkerSettings: [.linkedLibrary("sqlite3")]),
    // Without RTTI: the library has no type information of the class that this one extends.
    .target(name: "CRocksExtras", cxxSettings: [.unsafeFlags(["-O2", "-std=c++17", "-fno-rtti"])]),
    .target(
      name: "COpenSSL", cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-O2"])],
      linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
    // Header-only toml++; nothing is thrown through C.
    .target(
      name: "CTOML",
      cxxSettings: [
        .define("TOML_EXCEPTIONS", to: "0"), .define("TOML_MAX_NESTED_VALUES", to: "16"),
        .unsafeFlags(["-O2", "-std=c++17"]),
      ]),
    room("Bytes", ["CBytes"]),
    room("Model", ["Bytes"]),
    room("Telemetry", []),
    // Floor 1
    room("EventLoop", ["Bytes", "Telemetry", "CIOUring", "COpenSSL"]),
    room("HTTP", ["Bytes", "CBytes"]),
    room("Locks", ["Bytes", "Model"]),
    room("Router", ["Bytes", "Model"]),
    room("Access", ["Bytes", "Model", "COpenSSL"]),
    // Floor 2
    room("Settings", ["Bytes", "Model", "Access", "CTOML"]),
    room("WAL", ["Bytes", "Model", "Telemetry", "EventLoop"]),
    room("Storage", ["Bytes", "Model", "Telemetry", "CRocksDB", "CRocksExtras"]),
    room("Search", ["Bytes", "Model", "Telemetry", "CSQLite", "CSearch"]),
    room("Notifier", ["Model", "Router"]),
    // Floor 3
    room(
      "Engine",
      [
        "Bytes", "Model", "Telemetry", "EventLoop", "Locks", "Router", "WAL", "Storage", "Search", "Notifier",
      ]),
    // Floor 4
    room(
      "API",
      [
        "Bytes", "Model", "Telemetry", "EventLoop", "HTTP", "Locks", "Router", "Access", "WAL", "Search",
        "Engine", "Notifier",
      ]),
    // Floor 5
    room(
      "Server",
      [
        "Bytes", "Model", "Telemetry", "EventLoop", "HTTP", "WAL", "Storage", "Search", "Notifier", "Engine",
        "API", "Access", "Settings", .product(name: "Logging", package: "swift-log"),
      ]),
    // Floor 6
    .executableTarget(
      name: "engram",
      dependencies: [
        "Server", "Settings", "Access",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: settings),
    // For tests only
    room(
      "EngramTesting",
      [
        "Bytes", "Model", "Telemetry", "EventLoop", "HTTP", "Locks", "Router", "WAL", "Storage", "Notifier",
        "Engine",
      ]),
    suite("Bytes", ["Bytes"]),
    suite("Model", ["Model", "Bytes"]),
    suite("Telemetry", ["Telemetry"]),
    suite("EventLoop", ["EventLoop", "Access", "Bytes", "CIOUring", "CEventLoopTesting", "CTLSTesting"]),
    .target(name: "CAllocations", path: "Tests/CAllocations"),
    .target(
      name: "CEventLoopTesting", dependencies: ["CAllocations"], path: "Tests/CEventLoopTesting"),
    .target(
      name: "CTLSTesting", path: "Tests/CTLSTesting",
      linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
    suite("HTTP", ["HTTP", "Bytes", "EngramTesting"]),
    suite("Locks", ["Locks", "Model", "Bytes", "EngramTesting"]),
    suite("Access", ["Access", "Bytes", "Model", "COpenSSL", "CAccessTesting"]),
    // Signs what the tests present.
    .target(
      name: "CAccessTesting", dependencies: ["COpenSSL"], path: "Tests/CAccessTesting",
      cSettings: [.define("_GNU_SOURCE")]),
    suite("Settings", ["Settings", "Access", "Model", "Bytes"]),
    suite("Router", ["Router", "Bytes", "Model", "EngramTesting"]),
    suite(
      "WAL", ["WAL", "Model", "Bytes", "EventLoop", "EngramTesting"], resources: [.copy("golden")]),
    suite("Storage", ["Storage", "Model", "Bytes", "EngramTesting", "CRocksDB"]),
    suite("Search", ["Search", "Model", "Bytes", "EngramTesting", "CSQLite", "CSearch"]),
    suite("Notifier", ["Notifier", "Router", "Model", "Bytes", "EngramTesting"]),
    suite(
      "Engine",
      [
        "Engine", "Model", "Bytes", "Telemetry", "WAL", "Locks", "Storage", "Search", "EventLoop",
        "EngramTesting",
      ]),
    suite(
      "API",
      [
        "API", "Access", "Model", "Bytes", "HTTP", "EventLoop", "Router", "Notifier", "WAL", "Engine",
        "Telemetry", "EngramTesting", "CIOUring",
      ]),
    suite(
      "Server",
      [
        "Server", "API", "Access", "Settings", "Engine", "Model", "Bytes", "EventLoop", "HTTP", "Telemetry",
        "EngramTesting",
        "CEventLoopTesting",
        .product(name: "Logging", package: "swift-log"),
      ]),
    suite("Architecture", []),
    // What the benchmarks measure, and a run of each that is short: built here, where the rooms are built already.
    .target(
      name: "Workloads", dependencies: ["Bytes", "Model", "HTTP", "WAL", "Storage", "Engine"],
      path: "Benchmarks/Workloads", swiftSettings: settings),
    .executableTarget(
      name: "workload-smoke", dependencies: ["Workloads", "CAllocations"], path: "Benchmarks/Smoke",
      swiftSettings: settings),
  ]
)
