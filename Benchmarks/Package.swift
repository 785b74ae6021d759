// swift-tools-version: 6.3
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

// A package of its own, so that who builds the server resolves none of this.
let package = Package(
  name: "engram-benchmarks",
  dependencies: [
    .package(name: "engram", path: ".."),
    // Without its traits: its counters of allocations are not used, `CAllocations` is.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    .executableTarget(
      name: "Suite",
      dependencies: [
        .product(name: "Workloads", package: "engram"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Suite", swiftSettings: settings,
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
  ]
)
