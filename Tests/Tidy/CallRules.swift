/// Calls and keywords that do not occur in the sources.
enum CallRules {
    /// A token that is not to be written, where it may stand all the same, and what to write.
    struct Ban: Sendable {
        let token: String
        /// Paths (prefixes) of the sources where the token may stand.
        var allowed: [String] = []
        /// The ban ends below this floor.
        var belowFloor = 10
        /// Whether the token is banned in Tests and Perf too.
        var inTests = false
        let remedy: String
    }

    /// Files that may read a clock: they hand the time on as an argument.
    static let clockReaders = ["Sources/EventLoops/", "Sources/apus/"]
    /// Files that may ask the system for randomness: they hand a seed on as an argument.
    static let randomReaders = ["Sources/EventLoops/", "Sources/apus/", "Sources/Base/Crypto/"]
    /// Files that may hold a lock: none of them on the data plane.
    static let lockHolders = [
        "Sources/Base/Diagnostics/Log", "Sources/Base/Threads/", "Sources/Policy/Shell/",
        "Sources/EventLoops/LoopHandle",
        "Sources/EventLoops/TLS/TLSContextStore", "Sources/EventLoops/TLS/TLSTicketKeys",
        // What other threads hand to a loop, and take from it at start and end.
        "Sources/Broker/Shell/AccessDoor", "Sources/Broker/Shell/NodeHandle",
        "Sources/Broker/Shell/NodeLimitStore", "Sources/Policy/Shell/SharedAddressTable",
        "Sources/Broker/Shell/QueryDoor", "Sources/Broker/Shell/SysTopicPublisher",
        "Sources/Admin/", "Sources/apus/",
    ]
    /// Where the process may be stopped on purpose.
    static let stoppers = ["Sources/Base/Diagnostics/"]
    /// What talks to a person on a terminal.
    static let printers = ["Sources/apus/"]
    /// Tests that run against real processes and real time.
    static let realTimeTests = ["Tests/Conformance/"]

    static let bans: [Ban] =
        printing + forcing + concurrency + locks + clocks + randomness + waiting

    private static let printing = ["print(", "debugPrint(", "dump(", "NSLog("].map {
        Ban(token: $0, allowed: printers, remedy: "log through Base, or return a value")
    }

    private static let forcing =
        ["try!", "as!"].map {
            Ban(token: $0, remedy: "handle the other case; use invariant if it would be our fault")
        }
        + ["fatalError(", "preconditionFailure(", "assertionFailure(", "abort(", "exit("].map {
            Ban(
                token: $0, allowed: stoppers + ["Sources/apus/"],
                remedy: "use invariant or invariantFailed, which print the state")
        }
        + ["precondition(", "assert("].map {
            Ban(token: $0, allowed: stoppers, remedy: "use invariant: this one is mute in release")
        }

    private static let concurrency =
        ["DispatchQueue", "DispatchSource", "DispatchSemaphore", "DispatchGroup"].map {
            // The log's thread says so when it has written what was waiting at the end.
            Ban(
                token: $0, allowed: ["Sources/apus/ProcessLog"],
                remedy: "run on a loop, or on Admin's own event loops")
        }
        + ["Task {", "Task.detached", "async", "await", "actor", "withTaskGroup"].map {
            Ban(
                token: $0, belowFloor: 8,
                remedy: "use actions and completions: no tasks below Admin")
        }

    private static let locks = [
        "NSLock", "NSRecursiveLock", "NSCondition", "Mutex", "Guarded", "OSAllocatedUnfairLock",
        "pthread_mutex_lock", "pthread_rwlock_rdlock", "pthread_rwlock_wrlock",
    ].map {
        Ban(
            token: $0, allowed: lockHolders,
            remedy: "let one loop own it and send a message (CallRules.lockHolders has exceptions)")
    }

    private static let clocks = [
        "Date()", "Date.now", "ContinuousClock", "SuspendingClock", "clock_gettime",
        "gettimeofday", "DispatchTime", "CFAbsoluteTimeGetCurrent", "ProcessInfo",
    ].map {
        Ban(
            token: $0, allowed: clockReaders + ["Sources/Admin/"],
            remedy: "take the time as an argument (CallRules.clockReaders has exceptions)")
    }

    private static let randomness = [
        "SystemRandomNumberGenerator", "getrandom", "arc4random", "RAND_bytes", "UUID()",
    ].map {
        Ban(
            token: $0, allowed: randomReaders + ["Sources/Admin/"],
            remedy: "take the source as an argument (CallRules.randomReaders has exceptions)")
    }

    private static let waiting = ["Thread.sleep", "usleep(", "nanosleep(", "sleep(", "Task.sleep"]
        .map {
            Ban(
                token: $0, allowed: realTimeTests, inTests: true,
                remedy: "use a timer of the loop; in tests wait for the event itself, with a bound")
        }

    static let all: [Rule] = [banned, unseededRandom, unchecked]

    static let banned = Rule.perFile(
        "no banned call", where: { $0.isSwift && ($0.isInSources || $0.isInTests) }
    ) { file in
        bans.filter { applies($0, to: file) }.flatMap { ban in
            lines(of: ban, in: file).map {
                file.violation($0, "uses \(shown(ban.token))", ban.remedy)
            }
        }
    }

    private static func applies(_ ban: Ban, to file: SourceFile) -> Bool {
        if ban.allowed.contains(where: file.path.hasPrefix) { return false }
        guard file.isInSources else { return ban.inTests }
        let floor = file.module.flatMap(FloorPlan.row)?.floor ?? 0
        return floor < ban.belowFloor
    }

    /// A method of ours may bear a banned name (`metrics.dump()`): only the free call is meant.
    private static func lines(of ban: Ban, in file: SourceFile) -> [Int] {
        let isCall = ban.token.hasSuffix("(")
        return file.linesWithToken(ban.token).filter { line in
            guard isCall else { return true }
            let text = file.code[line - 1]
            guard let offset = Tokens.first(text, Array(ban.token.utf8)) else { return false }
            let before = String(decoding: Array(text.utf8)[..<offset], as: UTF8.self)
            return !before.hasSuffix(".") && !before.hasSuffix("func ")
        }
    }

    private static func shown(_ token: String) -> String {
        token.hasSuffix("(") ? String(token.dropLast()) : token
    }

    /// `.random(in:)`, `.shuffled()` and their kin draw from the system unless told otherwise.
    static let unseededRandom = Rule.perFile(
        "randomness comes in as an argument", where: { $0.isSwift && $0.isInSources }
    ) { file in
        let draws = [".random(", ".randomElement(", ".shuffled(", ".shuffle("]
        return file.code.indices.filter { index in
            let line = file.code[index]
            guard draws.contains(where: line.contains) else { return false }
            let next = index + 1 < file.code.count ? file.code[index + 1] : ""
            return !line.contains("using:") && !next.contains("using:")
                && !randomReaders.contains(where: file.path.hasPrefix)
        }.map {
            file.violation($0 + 1, "draws from the system's randomness", "pass a source: using: &…")
        }
    }

    /// What the compiler is told to believe about threads is explained where it is told.
    static let unchecked = Rule.perFile(
        "unchecked sharing is explained", where: { $0.isSwift && $0.isInSources }
    ) { file in
        let claims = ["@unchecked Sendable", "nonisolated(unsafe)", "@unsafe"]
        return file.code.indices.filter { index in
            guard claims.contains(where: file.code[index].contains) else { return false }
            let place = max(0, index - 3)...index
            return !place.contains { file.lines[$0].contains("//") }
        }.map {
            file.violation(
                $0 + 1, "tells the compiler to trust it about threads without saying why",
                "write above it which thread touches it when, or what makes that safe")
        }
    }
}
