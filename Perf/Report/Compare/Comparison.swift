import Foundation
import Glibc
import Synchronization

/// Runs one scenario against several brokers in turn, so that whatever drifts on the machine meets
/// all of them alike.
///
/// It starts the brokers and ends them, always: after each run, when a run fails, and when a signal
/// asks the program to end. What a run is, the caller says.
package struct Comparison: Sendable {
    /// In which order the brokers of a round take their turns.
    package enum Order: String, Sendable, CaseIterable {
        /// A B, A B…
        case alternating
        /// A B, B A…: what gets slower or faster steadily cancels out.
        case mirrored
    }

    /// How often and how.
    package struct Options: Sendable {
        package static let roundsMax = 1_000
        /// Each round runs every broker once.
        package var rounds: Int
        package var order: Order
        /// Every broker is started once and kept, instead of anew for each run. Memory then tells
        /// of all runs before.
        package var keepsBrokers: Bool
        /// Where the brokers' directories are made.
        package var directory: String

        package init(
            rounds: Int = 5, order: Order = .mirrored, keepsBrokers: Bool = false,
            directory: String = NSTemporaryDirectory()
        ) {
            self.rounds = rounds
            self.order = order
            self.keepsBrokers = keepsBrokers
            self.directory = directory
        }
    }

    /// Measures a broker that runs; `number` counts the runs from 1.
    package typealias Run = (_ broker: StartedBroker, _ number: Int) throws -> RunRecord

    package let brokers: [BrokerSpec]
    package let options: Options

    package init(brokers: [BrokerSpec], options: Options) {
        self.brokers = brokers
        self.options = options
    }

    /// Which broker has its turn when, by index.
    package var turns: [Int] {
        let rounds = min(max(options.rounds, 1), Options.roundsMax)
        return (0..<rounds).flatMap { round in
            let indices = Array(brokers.indices)
            switch options.order {
            case .alternating: return indices
            case .mirrored: return round % 2 == 0 ? indices : indices.reversed()
            }
        }
    }

    /// All runs in the order in which they were made. The facts of the broker are filled in. On
    /// SIGINT, SIGTERM or SIGHUP the brokers are ended and the program with them.
    package func run(_ measure: Run) throws -> [RunRecord] {
        try run(signals: [SIGINT, SIGTERM, SIGHUP], onSignal: { _exit(128 + $0) }, measure)
    }

    /// `onSignal` is called when the brokers are gone.
    package func run(
        signals: [Int32], onSignal: @escaping @Sendable (Int32) -> Void, _ measure: Run
    ) throws -> [RunRecord] {
        let table = RunningTable()
        let signalGuard = SignalGuard(signals) { number in
            table.endAll()
            onSignal(number)
        }
        defer {
            table.endAll()
            signalGuard?.cancel()
        }
        var records: [RunRecord] = []
        for (index, turn) in turns.enumerated() {
            let broker = try table.broker(brokers[turn], in: options.directory)
            var record = try measure(broker, index + 1)
            record.head.broker = broker.facts
            records.append(record)
            guard broker.isRunning else {
                throw ComparisonError(
                    subject: broker.spec.name,
                    reason: "ended during run \(index + 1)\n\(broker.log)")
            }
            if !options.keepsBrokers { table.end(broker.spec.name) }
        }
        return records
    }
}

/// The brokers that are running. The thread that compares starts and ends them; the one that hears
/// signals ends them all, after which none is started any more.
private final class RunningTable: Sendable {
    private struct Contents {
        var brokers: [String: StartedBroker] = [:]
        /// One is on its way that is not among them yet.
        var isStarting = false
        var isEnding = false
    }

    private let contents = Mutex(Contents())
    private static let startMillisecondsMax = 30_000

    /// The one that runs, or a new one.
    func broker(_ spec: BrokerSpec, in directory: String) throws -> StartedBroker {
        if let running = contents.withLock({ $0.brokers[spec.name] }) { return running }
        contents.withLock { $0.isStarting = true }
        defer { contents.withLock { $0.isStarting = false } }
        let broker = try StartedBroker.start(spec, in: directory) {
            contents.withLock { $0.isEnding }
        }
        contents.withLock { $0.brokers[spec.name] = broker }
        return broker
    }

    /// It stays in the table until it has ended: a signal meanwhile must find it.
    func end(_ name: String) {
        contents.withLock { $0.brokers[name] }?.end()
        contents.withLock { _ = $0.brokers.removeValue(forKey: name) }
    }

    func endAll() {
        contents.withLock { $0.isEnding = true }
        let deadline = MonotonicClock.milliseconds() + Self.startMillisecondsMax
        while contents.withLock({ $0.isStarting }), MonotonicClock.milliseconds() < deadline {
            poll(nil, 0, 5)
        }
        for broker in contents.withLock({ Array($0.brokers.values) }) { broker.end() }
    }
}
