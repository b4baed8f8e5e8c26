import Base
import Broker
import MQTT

/// How large a simulated run is, and what goes wrong in it.
package struct SimulationOptions: Sendable {
    /// Steps in which clients act; quiet ones follow.
    package var steps = 1_200
    package var publishers = 3
    package var subscribers = 5
    /// Members of each shared group beside its steady one.
    package var members = 2
    /// Clients that come at some time and ask for what is retained.
    package var probers = 3
    package var hostFaultPercent = 10
    package var splitsMax = 2
    package var lateMailPercent = 10
    package var lateAnswerPercent = 20
    /// Receivers that a message reaches in one turn; 0 is as many as on a node.
    package var fanOutSlice = 1
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
        options.fanOutSlice = 0
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
    private var retained = RetainedJournal()
    private var groups: [SimulatedGroup] = []
    private var probers: [Prober] = []
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
        if options.fanOutSlice > 0 {
            parts.fanOut.slice = options.fanOutSlice
            parts.fanOut.receiversAtOnce = options.fanOutSlice
            parts.fanOut.turnDeliveries = options.fanOutSlice
        }
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
        for name in ["$share/a/t/#", "$share/b/t/#", "$oshare/c/t/#"] where options.members > 0 {
            let group = SimulatedGroup(
                rig, name, members: options.members, isSteadyStored: !name.contains("/b/"))
            groups.append(group)
            actors += group.members
        }
        for number in 0..<options.probers {
            let start = random.below(max(options.steps, 1))
            probers.append(Prober(rig, "prober-\(number)", start: start))
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
        lookAtTheEnd()
        return report()
    }

    /// Who comes when everything is over finds exactly the last retained message of each topic.
    private func lookAtTheEnd() {
        let last = Prober(rig, "last", start: step)
        var wait = Self.quietStepsMax
        var left = 1_500
        while left > 0, wait > 0 {
            advance(isQuiet: true)
            last.act(step, worker: 0, settled: retained.settled(open: []))
            if last.isSettled { left -= 1 }
            wait -= 1
        }
        last.judge(&retained, isFinal: true)
        for failure in retained.failures { journal.fail(failure) }
    }

    private func advance(isQuiet: Bool) {
        step += 1
        rig.step()
        for actor in actors {
            actor.receive(step, &journal)
            if actor.client.link == nil { comeBack(actor, isQuiet: isQuiet) }
            if !isQuiet, actor.canAct { act(actor) }
        }
        for group in groups { group.note(step) }
        for prober in probers {
            prober.act(
                step, worker: Int(prober.start) % rig.options.workers, settled: settledQoS1)
        }
    }

    /// What is acknowledged of the topics on which an acknowledgement means that it is retained: a
    /// QoS 2 message may still be in its publisher's outbox.
    private var settledQoS1: [String: Int] {
        let open = actors.flatMap { $0.client.sending.filter(\.message.isRetained) }
        return retained.settled(open: open.map(\.message.topic)).filter { $0.key.hasSuffix("/1") }
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
        if options.probers > 0, qos != .atMostOnce, random.chance(percent: 20) {
            actor.retain(
                "r/\(actor.client.clientID)/\(qos.rawValue)", qos,
                isClearing: random.chance(percent: 25), &retained)
        } else {
            actor.publish("t/\(random.below(3))", qos, step, &journal)
        }
    }

    private func disturb(_ actor: SimulatedActor) {
        guard actor.client.isConnected, !actor.isLeftAlone else { return }
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
        actors.allSatisfy { $0.isSettled } && probers.allSatisfy { $0.isSettled }
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
        let repeated = Set(actors.flatMap(\.client.repeated))
        for group in groups {
            let owed = journal.acknowledged(group.innerFilter)
            group.judge(owed, repeated, &journal)
        }
        for prober in probers { prober.judge(&retained, isFinal: false) }
        checkThatItHappened()
    }

    /// A run without the faults that it was to have proves nothing.
    private func checkThatItHappened() {
        let wanted = [
            ("cuts", options.cutPerMille, cuts), ("departures", options.leavePerMille, departures),
            ("takeovers", options.takeoverPerMille, takeovers),
            ("late mail", options.lateMailPercent, rig.lateBlocks),
            ("acknowledged publishes", 1, journal.acknowledgedCount),
            ("retained messages", options.probers, retained.writeCount),
            ("fan-outs in slices", options.fanOutSlice, slicedCount),
            ("connections that waited for a turn", options.fanOutSlice, yieldedCount),
            ("group messages", options.members, groups.reduce(0) { $0 + $1.journal.owedCount }),
        ]
        for (name, rate, count) in wanted where rate > 0 && count == 0 {
            journal.fail("this run had no \(name)")
        }
    }

    private var slicedCount: Int {
        rig.places.reduce(0) { $0 + Int($1.worker.metrics.fanOutsSliced) }
    }

    private var yieldedCount: Int {
        rig.places.reduce(0) { $0 + Int($1.worker.metrics.inputsYielded) }
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
            ("unknown outcomes", unknown), ("in slices", slicedCount), ("yielded", yieldedCount),
            ("owed deliveries", journal.owedCount),
            ("owed to groups", groups.reduce(0) { $0 + $1.journal.owedCount }),
            ("retained", retained.writeCount), ("retained looked for", retained.lookedFor),
        ]
        report.failures = journal.failures
        return report
    }
}
