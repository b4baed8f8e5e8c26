import Base
import Broker
import MQTT

/// How large a simulated run is, and what goes wrong in it.
package struct SimulationOptions: Sendable {
    /// Steps in which clients act; quiet ones follow.
    package var steps = 1_200
    package var publishers = 3
    package var subscribers = 5
    package var members = 2
    package var hostFaultPercent = 10
    package var splitsMax = 2
    package var lateMailPercent = 10
    package var lateAnswerPercent = 20
    /// Per mille of steps, for each client.
    package var cutPerMille = 8
    package var leavePerMille = 4
    package var takeoverPerMille = 4

    package init() {}

    /// Nothing goes wrong: what a run with faults is compared with.
    package static var calm: SimulationOptions {
        var options = SimulationOptions()
        options.hostFaultPercent = 0
        options.splitsMax = 0
        options.lateMailPercent = 0
        options.cutPerMille = 0
        options.leavePerMille = 0
        options.takeoverPerMille = 0
        return options
    }
}

/// What happened in a run, and what was wrong.
package struct SimulationReport: Sendable {
    package var seed: UInt64
    package var counts: [(name: String, count: Int)] = []
    package var failures: [String] = []

    package var text: String {
        let numbers = counts.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
        return (["seed \(seed): \(numbers)"] + failures.map { "  " + $0 }).joined(separator: "\n")
    }
}

/// One node's workers under clients that come and go, from a seed: first safety under faults, then
/// everybody comes back and everything open must end.
///
/// The workload acts, `Journal` judges from outside; neither knows the other's rules.
package final class SimulationRun {
    private let options: SimulationOptions
    private let seed: UInt64
    private let rig: Rig
    private var random: SeededRandom
    private var actors: [SimulatedActor] = []
    private var journal = Journal()
    private var step = 0
    private var cuts = 0
    private var departures = 0
    private var takeovers = 0

    /// Steps until everything open must have ended.
    private static let quietStepsMax = 40_000

    package init(seed: UInt64, _ options: SimulationOptions = SimulationOptions()) {
        self.seed = seed
        self.options = options
        random = SeededRandom(seed: seed ^ 0xAC70)
        var parts = RigOptions()
        parts.hostFaultPercent = options.hostFaultPercent
        parts.splitsMax = options.splitsMax
        parts.lateMailPercent = options.lateMailPercent
        parts.lateAnswerPercent = options.lateAnswerPercent
        rig = Rig(seed: seed, parts)
        addActors()
    }

    private func addActors() {
        for number in 0..<options.publishers {
            actors.append(SimulatedActor(rig, "publisher-\(number)", .publisher, isStored: true))
        }
        let filters = ["t/#", "t/0", "+/1", "t/+"]
        for number in 0..<options.subscribers {
            let filter = filters[number % filters.count]
            actors.append(
                SimulatedActor(
                    rig, "subscriber-\(number)", .subscriber(filter), isStored: number % 2 == 0))
        }
        for number in 0..<options.members {
            actors.append(
                SimulatedActor(
                    rig, "member-\(number)", .subscriber("$share/group/t/#"), isStored: false))
        }
    }

    // MARK: Running

    package func run() -> SimulationReport {
        while step < options.steps {
            advance(isQuiet: false)
            for actor in actors { disturb(actor) }
        }
        var left = Self.quietStepsMax
        while left > 0, !isSettled {
            advance(isQuiet: true)
            left -= 1
        }
        // What is on its way to subscribers still arrives.
        for _ in 0..<3_000 { advance(isQuiet: true) }
        if left == 0 { journal.fail("not everything ended: \(openEnds)") }
        judge()
        return report()
    }

    private func advance(isQuiet: Bool) {
        step += 1
        rig.step()
        for actor in actors {
            actor.receive(step, &journal)
            if actor.client.link == nil { comeBack(actor, isQuiet: isQuiet) }
            if !isQuiet, actor.canAct { act(actor) }
        }
    }

    private func comeBack(_ actor: SimulatedActor, isQuiet: Bool) {
        guard isQuiet || random.chance(percent: 20) else { return }
        actor.connect(to: random.below(rig.options.workers))
    }

    private func act(_ actor: SimulatedActor) {
        guard actor.kind == .publisher, random.chance(percent: 30) else { return }
        let qos = QoS(rawValue: UInt8(random.below(3))) ?? .atMostOnce
        // Fewer than the server takes at once.
        guard actor.client.sending.count < 50 else { return }
        actor.publish("t/\(random.below(3))", qos, step, &journal)
    }

    private func disturb(_ actor: SimulatedActor) {
        guard actor.client.isConnected else { return }
        let dice = random.below(1_000)
        if dice < options.cutPerMille {
            cuts += 1
            actor.client.cut()
        } else if dice < options.cutPerMille + options.leavePerMille {
            departures += 1
            actor.client.leave()
        } else if dice < options.cutPerMille + options.leavePerMille + options.takeoverPerMille {
            takeovers += 1
            actor.takeOver(random.below(rig.options.workers))
        }
    }

    private var isSettled: Bool {
        actors.allSatisfy { $0.isSettled }
            && rig.places.allSatisfy {
                $0.worker.load.trackers == 0 && $0.worker.load.questions == 0
            }
    }

    private var openEnds: [String] {
        actors.filter { !$0.isSettled }.map {
            "\($0.client.clientID): connected \($0.client.isConnected), "
                + "sending \($0.client.sending.count)"
        } + rig.places.map { "\($0.worker.load)" }
    }

    // MARK: Judging

    private func judge() {
        for actor in actors {
            for complaint in actor.client.complaints { journal.fail(complaint) }
            journal.judgeReceived(actor)
            if actor.kind == .publisher { journal.noteAcknowledged(actor) }
        }
        for actor in actors where actor.isPlainSubscriber { journal.judgeDelivered(actor) }
        checkThatItHappened()
    }

    /// A run without the faults that it was to have proves nothing.
    private func checkThatItHappened() {
        let wanted = [
            ("cuts", options.cutPerMille, cuts), ("departures", options.leavePerMille, departures),
            ("takeovers", options.takeoverPerMille, takeovers),
            ("late mail", options.lateMailPercent, rig.lateBlocks),
            ("acknowledged publishes", 1, journal.acknowledgedCount),
        ]
        for (name, rate, count) in wanted where rate > 0 && count == 0 {
            journal.fail("this run had no \(name)")
        }
    }

    private func report() -> SimulationReport {
        var report = SimulationReport(seed: seed)
        let received = actors.reduce(0) { $0 + $1.client.received.count }
        let connections = actors.reduce(0) { $0 + $1.client.connectionCount }
        let ranges = rig.places.first?.worker.client.map.all.count ?? 0
        let unknown = rig.places.reduce(0) { $0 + Int($1.worker.metrics.outcomesUnknown) }
        report.counts = [
            ("steps", step), ("published", journal.sentCount),
            ("acknowledged", journal.acknowledgedCount), ("received", received),
            ("connections", connections), ("cuts", cuts), ("departures", departures),
            ("takeovers", takeovers), ("late blocks", rig.lateBlocks), ("ranges", ranges),
            ("unknown outcomes", unknown), ("owed deliveries", journal.owedCount),
        ]
        report.failures = journal.failures
        return report
    }
}
