import ArgumentParser
import Foundation
import Glibc
import PerfReport
import Synchronization

/// Runs a scenario against several brokers in turn, and says how they stand to each other.
///
/// Each run is a process of this very program: whatever becomes of it, the one that watches over
/// the brokers lives, and ends them.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Starts brokers, runs a scenario against them in turn, and prints ratios.",
        usage: "apus-perf compare <file> [<options>] -- <scenario> [<its options>]",
        discussion: """
            The file names the brokers and how to start them (Perf/Examples/compare.json); the \
            first is what the others are compared with. Address, port and process of the broker \
            are given to the scenario. Example: apus-perf compare brokers.json --rounds 10 -- \
            pair -q 1 --duration 5
            """)

    @Argument(help: "The brokers, in JSON.")
    var file: String

    @Option(help: "Rounds; each runs every broker once.")
    var rounds = 5

    @Option(help: "mirrored (A B, B A) or alternating (A B, A B).")
    var order = Comparison.Order.mirrored

    @Flag(help: "Starts each broker once, not for each run.")
    var keep = false

    @Flag(help: "Shows what each run says while it goes on.")
    var progress = false

    @Option(help: "File to which the runs are appended.")
    var json: String?

    @Option(help: "File for a page about the runs.")
    var html: String?

    @Argument(parsing: .postTerminator, help: "A command of apus-perf, after --.")
    var scenario: [String]

    func validate() throws {
        guard let command = scenario.first, !command.hasPrefix("-") else {
            throw ValidationError("after -- comes a scenario, such as: -- pair -q 1")
        }
        // A search makes many runs, and not the same ones for each broker.
        guard !["compare", "report", "autorate"].contains(command) else {
            throw ValidationError("\(command) is no scenario of one run")
        }
        guard (1...Comparison.Options.roundsMax).contains(rounds) else {
            throw ValidationError("--rounds lies between 1 and \(Comparison.Options.roundsMax)")
        }
    }

    func run() throws {
        let comparison = Comparison(
            brokers: try ComparisonFile.read(path: file).brokers,
            options: .init(rounds: rounds, order: order, keepsBrokers: keep))
        let generator = GeneratorProcess(scenario, showsProgress: progress)
        let count = comparison.turns.count
        let records = try comparison.run(
            signals: [SIGINT, SIGTERM, SIGHUP],
            onSignal: { number in
                generator.end()
                _exit(128 + number)
            }
        ) { broker, number in
            say("run \(number) of \(count): \(broker.spec.name)")
            let record = try generator.run(broker)
            if let json { try Self.append(record, broker, to: json) }
            return record
        }
        FileHandle.standardOutput.write(Data(("\n" + RatioTable(records).text()).utf8))
        if let html { try PageFile.write(records, title: nil, to: html) }
        if generator.hasFoundFault { throw ExitCode(1) }
    }

    private func say(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    /// At once, so that a comparison that is ended early leaves what it has.
    private static func append(
        _ record: RunRecord, _ broker: StartedBroker, to path: String
    ) throws {
        var record = record
        record.head.broker = broker.facts
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        guard let file = FileHandle(forWritingAtPath: path) else {
            throw ComparisonError(subject: path, reason: "cannot be written")
        }
        try file.seekToEnd()
        try file.write(contentsOf: Data(try record.text().utf8))
        try file.close()
    }
}

extension Comparison.Order: ExpressibleByArgument {}

/// The process that loads a broker, one at a time.
final class GeneratorProcess: Sendable {
    private struct State {
        var process: SpawnedProcess?
        var hasFoundFault = false
        var isEnding = false
    }

    private let scenario: [String]
    private let showsProgress: Bool
    private let state = Mutex(State())
    private static let endMilliseconds = 1_000
    /// Exit status of a run in which something was wrong that must not be.
    private static let faultStatus: Int32 = 1

    init(_ scenario: [String], showsProgress: Bool) {
        self.scenario = scenario
        self.showsProgress = showsProgress
    }

    /// Whether a run found a fault of a broker.
    var hasFoundFault: Bool { state.withLock { $0.hasFoundFault } }

    /// Loads the broker as the scenario says, and gives what was written of it.
    func run(_ broker: StartedBroker) throws -> RunRecord {
        let path = broker.directory + "/runs.jsonl"
        try? FileManager.default.removeItem(atPath: path)
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        var words = [program] + scenario
        words += ["-h", broker.host, "-p", String(broker.port), "--pid", String(broker.pid)]
        words += ["--json", path] + (showsProgress ? [] : ["--quiet"])
        let status = try wait(for: words)
        let record = try? RunRecordReader.read(path: path).last
        guard var record, record.end != nil, status == 0 || status == Self.faultStatus else {
            throw ComparisonError(
                subject: broker.spec.name,
                reason: "the scenario left no whole run (status \(status))")
        }
        if status == Self.faultStatus { state.withLock { $0.hasFoundFault = true } }
        record.head.options = scenario
        return record
    }

    private func wait(for words: [String]) throws -> Int32 {
        let process = try state.withLock { state -> SpawnedProcess in
            guard !state.isEnding else { throw ExitCode(1) }
            let process = try SpawnedProcess(words, output: STDERR_FILENO)
            state.process = process
            return process
        }
        while true {
            if let status = process.waitForExit(withinMilliseconds: 1_000) { return status }
        }
    }

    /// Ends the one that runs; none is started any more.
    func end() {
        let process = state.withLock { state in
            state.isEnding = true
            return state.process
        }
        process?.end(withinMilliseconds: Self.endMilliseconds)
    }
}
