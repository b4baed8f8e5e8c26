// swift-tools-version: 6.2
import PackageDescription

// APUS_CORE=1 leaves out everything that needs heavy libraries (Admin, apus): codec, loops,
// machines and broker then build and test in about a minute.
// APUS_STRICT=1 turns warnings into errors (continuous integration).
// APUS_TESTS="KVTests …" leaves out all but these tests and what they need; slices of fuzzing,
// which need everything, are left out too (Tests/Mutants).
let coreOnly = Context.environment["APUS_CORE"] == "1"
let strict = Context.environment["APUS_STRICT"] == "1"
let chosenTests = Context.environment["APUS_TESTS"].map {
    $0.split(separator: " ").map(String.init)
}
let fuzzing = chosenTests == nil ? ["fuzz"] : []
func fuzzSlice(_ file: String) -> [String] { chosenTests == nil ? [] : [file] }

let swiftSettings: [SwiftSetting] =
    [.swiftLanguageMode(.v6)] + (strict ? [.treatAllWarnings(as: .error)] : [])
let cSettings: [CSetting] =
    [.enableWarning("all"), .enableWarning("extra")]
    + (strict ? [.treatAllWarnings(as: .error)] : [])

func cShim(_ name: String, links: [String] = []) -> Target {
    .target(
        name: name, path: "CShims/\(name)", publicHeadersPath: "include",
        cSettings: cSettings, linkerSettings: links.map { .linkedLibrary($0) })
}

func module(_ name: String, _ imports: [String]) -> Target {
    .target(
        name: name, dependencies: imports.map { .byName(name: $0) },
        path: "Sources/\(name)", swiftSettings: swiftSettings)
}

func tests(
    _ name: String, _ imports: [String], exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name, dependencies: imports.map { .byName(name: $0) },
        path: "Tests/\(name)", exclude: exclude, resources: resources,
        swiftSettings: swiftSettings)
}

func tool(_ name: String, path: String, _ imports: [String]) -> Target {
    .executableTarget(
        name: name, dependencies: imports.map { .byName(name: $0) },
        path: path, swiftSettings: swiftSettings)
}

var dependencies: [Package.Dependency] = []
var products: [Product] = []

// The rows follow the floor plan in Docs/ARCHITECTURE.md: a module imports only what its row names.
var targets: [Target] = [
    cShim("CLinux", links: ["uring"]),
    cShim("COpenSSL", links: ["ssl", "crypto"]),
    cShim("CMallocCount"),

    module("Base", ["CLinux", "COpenSSL"]),
    module("MQTT", ["Base"]),
    module("WebSocket", ["Base"]),
    module("EventLoops", ["Base", "CLinux", "COpenSSL"]),
    module("KV", ["Base", "EventLoops"]),
    module("Dist", ["Base", "MQTT", "KV"]),
    module("Inbox", ["Base", "MQTT", "KV"]),
    module("Retain", ["Base", "MQTT", "KV"]),
    module("Policy", ["Base", "MQTT", "KV"]),
    module(
        "Broker",
        ["Base", "MQTT", "WebSocket", "EventLoops", "KV", "Dist", "Inbox", "Retain", "Policy"]),

    .target(
        name: "TestKit", dependencies: ["Base"], path: "Tests/TestKit",
        swiftSettings: swiftSettings),
    tests("BaseTests", ["Base", "TestKit"]),
    tests(
        "MQTTTests", ["Base", "MQTT", "TestKit"] + fuzzing,
        exclude: fuzzSlice("FuzzSliceTests.swift")),
    tests(
        "WebSocketTests", ["Base", "WebSocket", "TestKit"] + fuzzing,
        exclude: fuzzSlice("FuzzSliceTests.swift")),
    tests("EventLoopsTests", ["Base", "EventLoops", "CLinux", "TestKit"]),
    tests("KVTests", ["Base", "KV", "TestKit"], resources: [.copy("Transcripts")]),
    tests("DistTests", ["Base", "MQTT", "KV", "Dist", "TestKit"]),
    tests("InboxTests", ["Base", "MQTT", "KV", "Inbox", "TestKit"]),
    tests("RetainTests", ["Base", "MQTT", "KV", "Retain", "TestKit"]),
    tests("PolicyTests", ["Base", "MQTT", "KV", "Policy", "TestKit"]),
    .target(
        name: "Simulation", dependencies: ["Base", "MQTT", "KV", "Policy", "Broker"],
        path: "Tests/Simulation/Rig", swiftSettings: swiftSettings),
    tests(
        "BrokerTests",
        [
            "Base", "MQTT", "WebSocket", "EventLoops", "KV", "Dist", "Inbox", "Policy", "Broker",
            "Simulation", "TestKit",
        ] + fuzzing, exclude: fuzzSlice("SessionFuzzSliceTests.swift")),
    tests("TestKitTests", ["TestKit"]),
    tests("MicroTests", ["TestKit", "CMallocCount", "apus-bench"]),
    tests(
        "Conformance",
        ["Base", "MQTT", "KV", "EventLoops", "Policy", "Broker", "WebSocket", "CLinux", "TestKit"],
        exclude: ["Clients", "attacks", "clients.sh", "serve.sh", "soak.sh", "statements"]),
    tests("Tidy", []),
    tool(
        "fuzz", path: "Tests/Fuzz",
        ["Base", "MQTT", "WebSocket", "EventLoops", "Broker", "Simulation", "TestKit"]),
    tool("simulate", path: "Tests/Simulation/Run", ["Simulation"]),
    tool(
        "apus-bench", path: "Perf/Micro",
        [
            "Base", "MQTT", "WebSocket", "EventLoops", "KV", "Dist", "Policy", "Broker",
            "CMallocCount",
        ]),
    .target(name: "PerfReport", path: "Perf/Report", swiftSettings: swiftSettings),
    tests("PerfReportTests", ["PerfReport", "TestKit"]),
]

if !coreOnly {
    dependencies += [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        // Its core alone: one HTTP/1.1 server on NIO, without TLS, router, tracing and metrics.
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
        // Perf alone.
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ]
    products.append(.executable(name: "apus", targets: ["apus"]))
    targets += [
        .target(
            name: "Admin",
            dependencies: [
                "Base", "MQTT", "Policy", "Broker",
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ], path: "Sources/Admin", resources: [.embedInCode("Resources/openapi.json")],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "AdminTests",
            dependencies: ["Base", "MQTT", "EventLoops", "Policy", "Broker", "Admin", "TestKit"],
            path: "Tests/AdminTests", swiftSettings: swiftSettings),
        .executableTarget(
            name: "apus",
            dependencies: [
                "Base", "MQTT", "EventLoops", "KV", "Policy", "Broker", "Admin",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ], path: "Sources/apus", swiftSettings: swiftSettings),
        .testTarget(
            name: "apusTests", dependencies: ["Policy", "Base", "TestKit", "apus"],
            path: "Tests/apusTests", swiftSettings: swiftSettings),
        .target(
            name: "PerfLoad",
            dependencies: [
                "Base", "MQTT", "WebSocket", "EventLoops", "CLinux", "PerfReport",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ], path: "Perf/Load", swiftSettings: swiftSettings),
        .testTarget(
            name: "PerfTests",
            dependencies: [
                "Base", "MQTT", "WebSocket", "EventLoops", "Broker", "PerfLoad", "PerfReport",
                "TestKit",
            ], path: "Tests/PerfTests", swiftSettings: swiftSettings),
        .executableTarget(
            name: "apus-perf",
            dependencies: [
                "Base", "MQTT", "EventLoops", "PerfLoad", "PerfReport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "Perf/apus-perf", swiftSettings: swiftSettings),
    ]
}

if let chosenTests {
    var kept: Set<String> = []
    func keep(_ name: String) {
        guard kept.insert(name).inserted else { return }
        for dependency in targets.first(where: { $0.name == name })?.dependencies ?? [] {
            if case .byNameItem(let name, _) = dependency { keep(name) }
        }
    }
    for name in chosenTests { keep(name) }
    targets.removeAll { !kept.contains($0.name) }
    products = []
}

let package = Package(
    name: "apus", products: products, dependencies: dependencies, targets: targets)
