import Base
import EventLoops
import MQTT
import PerfLoad
import PerfReport
import Testing

@Suite("One tenant beside another")
struct FairnessTests {
    private func options(_ aggression: Fairness.Aggression) -> Fairness.Options {
        var options = Fairness.Options()
        options.aggression = aggression
        options.pairs = 2
        options.phase = .milliseconds(30)
        options.settle = .milliseconds(3)
        options.victims = 3
        options.aggressors = 2
        options.subscribers = 40
        options.noisyPerSecond = aggression == .fanOut ? 200 : 2_000
        return options
    }

    @Test(
        "quiet and noisy phases alternate in mirrored pairs, and nothing of the victim is lost",
        arguments: Fairness.Aggression.allCases)
    func phases(aggression: Fairness.Aggression) throws {
        var load = try #require(LiveNode.shared).options(prefix: "phases\(aggression)")
        load.perSecond = 3_000
        load.qos = .atLeastOnce
        load.brokerPIDs = ProcessProbe.own.pids
        let memory = RunMemory()
        let found = try Fairness(options(aggression), load).run(memory)
        #expect(found.phases.map(\.head.name) == ["quiet", "noisy", "noisy", "quiet"])
        for phase in found.phases {
            let end = try #require(phase.end)
            // 90 are intended in a phase, give or take one for each end of it and publisher.
            #expect((84...96).contains(end.latency?.count ?? 0), "\(phase.head.name)")
            #expect(end.lost == 0 && end.duplicates == 0 && end.orderViolations == 0)
            #expect((end.brokerCPUCores ?? 0) > 0)
        }
        #expect((found.aggressor == nil) == (aggression == .none))
        if let counters = found.aggressor?.counters {
            #expect(counters.sent > 0 && counters.received > 0)
            #expect(aggression != .fanOut || counters.received >= 20 * counters.sent)
        }
        #expect(RatioTable(found.phases).blocks.map(\.rounds) == [2])
    }

    @Test("an aggressor may have a broker of its own, and no broker is an error")
    func elsewhere() throws {
        let other = try FaultyBroker(.none)
        var load = try #require(LiveNode.shared).options()
        load.perSecond = 1_000
        var options = options(.quota)
        options.pairs = 1
        options.noisyAddresses = [other.address]
        let found = try Fairness(options, load).run(RunMemory())
        #expect(found.aggressor?.counters.received ?? 0 > 0)
        #expect(found.phases.allSatisfy { $0.end?.latency != nil })
        options.noisyAddresses = [.ip(PeerAddress(.v4Loopback, port: 1))]
        #expect(throws: ScenarioError.self) { try Fairness(options, load).run(RunMemory()) }
    }

    @Test("what a broker does wrong to the victim shows in the last phase")
    func faults() throws {
        let broker = try FaultyBroker(.duplicate)
        var load = LoadOptions.brief(broker.address)
        load.perSecond = 3_000
        var options = options(.none)
        options.pairs = 1
        let found = try Fairness(options, load).run(RunMemory())
        #expect((found.phases.last?.end?.duplicates ?? 0) > 0)
    }
}
