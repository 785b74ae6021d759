// swift-tools-version: 6.3
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
  // libFuzzer brings `main`.
  .unsafeFlags(["-parse-as-library"]),
]

// A package of its own: only `make fuzz` builds everything with the fuzzer's instrumentation.
let package = Package(
  name: "engram-fuzz",
  dependencies: [.package(name: "engram", path: "..")],
  targets: [
    .executableTarget(
      name: "fuzz", dependencies: [.product(name: "Rooms", package: "engram")], swiftSettings: settings)
  ]
)
