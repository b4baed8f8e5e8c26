/// The table of modules: which floor each stands on and what it may import.
///
/// The one place to change when a module is added. `Docs/ARCHITECTURE.md` explains it; a test
/// proves that no row looks sideways or up, and another that `Package.swift` agrees.
enum FloorPlan {
    /// One module of `Sources`.
    struct Row: Sendable {
        let module: String
        let floor: Int
        let imports: Set<String>
    }

    static let rows: [Row] = [
        Row(module: "Base", floor: 1, imports: ["CLinux", "COpenSSL", "CMallocCount"]),
        Row(module: "MQTT", floor: 2, imports: ["Base"]),
        Row(module: "WebSocket", floor: 2, imports: ["Base"]),
        Row(module: "Raft", floor: 2, imports: ["Base"]),
        Row(module: "EventLoops", floor: 3, imports: ["Base", "CLinux", "COpenSSL"]),
        Row(module: "Cluster", floor: 4, imports: ["Base", "EventLoops"]),
        Row(
            module: "KV", floor: 5,
            imports: ["Base", "Raft", "EventLoops", "Cluster", "CRocksDB"]),
        Row(module: "Dist", floor: 6, imports: ["Base", "MQTT", "KV", "Cluster"]),
        Row(module: "Retain", floor: 6, imports: ["Base", "MQTT", "KV"]),
        Row(module: "Inbox", floor: 6, imports: ["Base", "MQTT", "KV"]),
        Row(module: "Policy", floor: 6, imports: ["Base", "MQTT", "KV"]),
        Row(
            module: "Broker", floor: 7,
            imports: [
                "Base", "MQTT", "WebSocket", "EventLoops", "Cluster", "KV", "Dist", "Retain",
                "Inbox", "Policy",
            ]),
        Row(
            module: "Admin", floor: 8,
            imports: ["Base", "MQTT", "Cluster", "KV", "Policy", "Broker"]),
        Row(
            module: "apus", floor: 9,
            imports: [
                "Base", "MQTT", "WebSocket", "Raft", "EventLoops", "Cluster", "KV", "Dist",
                "Retain", "Inbox", "Policy", "Broker", "Admin",
            ]),
    ]

    static let shims: Set<String> = ["CLinux", "COpenSSL", "CRocksDB", "CMallocCount"]

    /// Modules of the toolchain and libraries, by the first floor that may use them. Below, the C
    /// library is reached through CLinux alone, so that there is one place to look for a call.
    static let librariesFromFloor8: Set<String> = [
        "Foundation", "FoundationEssentials", "FoundationNetworking", "Synchronization", "Logging",
        "Hummingbird", "HummingbirdCore", "HummingbirdRouter", "HummingbirdWebSocket", "HTTPTypes",
        "AsyncHTTPClient", "JWTKit", "ServiceLifecycle", "NIOCore", "NIOPosix", "NIOHTTP1",
        "NIOFoundationCompat", "NIOSSL",
    ]
    static let librariesOfExecutable: Set<String> = ["ArgumentParser", "Yams"]

    /// Imports that a test or a performance program may have besides modules of the house.
    static let librariesOfTests: Set<String> = [
        "Testing", "Foundation", "FoundationEssentials", "FoundationNetworking", "TestKit",
        "Synchronization", "Glibc", "Histogram", "ArgumentParser",
        // A slice of every fuzz target runs with the tests of its module.
        "fuzz",
        // The micro-benchmarks, whose ceilings and counting are tested.
        "apus_bench",
        // The rig that simulator and tests of the broker share.
        "Simulation",
        // Records of runs and what is made of them; what loads a broker.
        "PerfReport", "PerfLoad",
        "HummingbirdTesting", "AsyncHTTPClient", "Logging", "HTTPTypes", "NIOCore", "Yams",
    ]

    /// From this floor up a module has a folder `Core` and a folder `Shell`.
    static let firstFloorWithCore = 4
    static let lastFloorWithCore = 7

    static func row(_ module: String) -> Row? { rows.first { $0.module == module } }

    /// What a file under a `Core` folder may not import whatever its module's row says.
    static let forbiddenInCore: Set<String> = [
        "EventLoops", "CLinux", "COpenSSL", "CRocksDB", "Glibc", "Foundation", "Synchronization",
    ]
}
