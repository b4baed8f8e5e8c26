import Base
import PerfReport

/// Scenarios about connections rather than messages.
package enum ConnectionKind: String, Sendable, CaseIterable {
    /// Opens clients, then holds them.
    case open = "conn"
    /// The same, each with one subscription: what an idle client costs.
    case idle
    /// All clients are cut off at once, and all come back at once, round by round.
    case storm
}

/// Opens many clients and holds them: how fast, at which price, with how much memory each.
///
/// ```
///  conn, idle:  memory | open | hold | memory
///  storm:       open | (cut off, open) x rounds
/// ```
/// CPU time is given for each connection opened.
package struct Connections {
    private let kind: ConnectionKind
    private let options: LoadOptions
    private let count: Int
    private let rounds: Int
    private let broker: ProcessProbe

    package init(
        _ kind: ConnectionKind, clients: Int, rounds: Int = 1, _ options: LoadOptions
    ) {
        self.kind = kind
        self.options = options
        count = clients
        self.rounds = rounds
        broker = ProcessProbe(options.brokerPIDs)
    }

    package func run(_ observer: any RunObserver) throws -> RunEnd {
        var group = options.group(kind.rawValue, count)
        if kind != .open {
            group.subscriptions = [options.subscribePlan("\(options.prefix)/\(kind.rawValue)/%i")]
        }
        var plan = options.plan([group])
        if kind == .storm { plan.openingMax = max(plan.openingMax, 1000) }
        let run = try LoadRun(plan)
        var head = RunHead(options, scenario: kind.rawValue)
        head.subscribers = count
        observer.head(head)
        let memoryBefore = broker.memoryBytes
        let ownersBefore = MemoryOwners.read(broker.pids)
        let tablesBefore = options.admin?.memory()
        var sampler = SecondSampler(run, broker, observer, zero: run.now)
        var figures = try open(run, observer, &sampler)
        switch kind {
        case .open, .idle:
            observer.began("holding \(count) connections")
            run.wait(options.duration) {
                sampler.sampleIfDue()
                return false
            }
        case .storm: figures = try storm(run, observer, &sampler)
        }
        var end = RunEnd()
        end.durationSeconds = figures.seconds
        end.connections = Int(run.counters.ready)
        end.connectsPerSecond = Double(figures.opened) / max(figures.seconds, 1e-9)
        end.memoryBeforeBytes = memoryBefore
        end.memoryAfterBytes = broker.memoryBytes
        if !broker.isEmpty { price(&end, figures, ownersBefore) }
        let isMute = tablesBefore.map { kind == .idle && !addTables(&end, $0) } ?? false
        let lost = run.counters.lost
        let outcome = run.finish()
        end.warnings = warnings(outcome, lost: lost, isMute: isMute)
        observer.end(end, outcome)
        return end
    }

    /// How long opening took, for how many clients, at which price.
    private struct Figures {
        var seconds = 0.0
        var opened: UInt64 = 0
        var cpu: (seconds: Double, systemShare: Double) = (0, 0)
    }

    private func open(
        _ run: LoadRun, _ observer: any RunObserver, _ sampler: inout SecondSampler
    ) throws -> Figures {
        observer.began("opening \(count) clients")
        let before = run.counters.opened
        let start = run.now
        let cpu = CPUSpan(of: broker)
        try Opening(run, options).open(0) { sampler.sampleIfDue() }
        return Figures(
            seconds: Double((run.now - start).nanoseconds) / 1e9,
            opened: run.counters.opened - before, cpu: cpu.elapsed())
    }

    private func storm(
        _ run: LoadRun, _ observer: any RunObserver, _ sampler: inout SecondSampler
    ) throws -> Figures {
        var sum = Figures()
        let zero = run.now
        for round in 1...max(rounds, 1) {
            let at = Double((run.now - zero).nanoseconds) / 1e9
            observer.fault(RunFault(atSeconds: at, text: "all clients cut off"))
            Opening(run, options).close(0, isAbrupt: true)
            let figures = try open(run, observer, &sampler)
            sampler.sample()
            observer.began("round \(round): all back after \(figures.seconds) s")
            sum.seconds += figures.seconds
            sum.opened += figures.opened
            sum.cpu.seconds += figures.cpu.seconds
            sum.cpu.systemShare += figures.cpu.systemShare / Double(max(rounds, 1))
        }
        return sum
    }

    private func price(
        _ end: inout RunEnd, _ figures: Figures, _ before: [String: Int]
    ) {
        let micros = figures.cpu.seconds * 1e6 / Double(max(figures.opened, 1))
        end.cpuPerMessage = CPUPerMessage(
            user: micros * (1 - figures.cpu.systemShare),
            system: micros * figures.cpu.systemShare)
        end.brokerCPUCores = figures.cpu.seconds / max(figures.seconds, 1e-9)
        if let before = end.memoryBeforeBytes, let after = end.memoryAfterBytes {
            end.bytesPerConnection = Double(after - before) / Double(count)
        }
        guard kind == .idle else { return }
        end.bytesByOwner = MemoryOwners.growth(from: before, to: MemoryOwners.read(broker.pids))
    }

    /// The broker's own tables behind the kernel's mappings: the same bytes, seen from inside.
    /// False if it does not tell them.
    private func addTables(_ end: inout RunEnd, _ before: [String: Int]) -> Bool {
        guard !before.isEmpty, let after = options.admin?.memory(), !after.isEmpty else {
            return false
        }
        var growth: Int?
        if let before = end.memoryBeforeBytes, let after = end.memoryAfterBytes {
            growth = after - before
        }
        let rows = AdminProbe.growth(from: before, to: after, ofProcess: growth)
        end.bytesByOwner =
            (end.bytesByOwner ?? [])
            + rows.filter { $0.bytes != 0 }.map {
                OwnerBytes(owner: "apus: " + $0.owner, bytes: $0.bytes)
            }
        return true
    }

    private func warnings(_ outcome: LoadOutcome, lost: UInt64, isMute: Bool) -> [String]? {
        var warnings = outcome.failures.prefix(5).map { "\($0.count) times: \($0.text)" }
        if isMute { warnings.append("the admin port does not tell the broker's memory") }
        if lost > 0 { warnings.append("\(lost) connections were lost while held") }
        return warnings.isEmpty ? nil : warnings
    }
}
