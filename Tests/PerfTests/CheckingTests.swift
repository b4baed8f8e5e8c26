import Base
import EventLoops
import MQTT
import PerfLoad
import PerfReport
import TestKit
import Testing

extension LoadOptions {
    /// A run of a few tenths of a second.
    static func brief(_ address: ListenerAddress) -> LoadOptions {
        var options = LoadOptions(target: TargetOptions(addresses: [address]))
        options.warmUp = .zero
        options.duration = .milliseconds(120)
        // Ends as soon as all has come; a busy machine may take its time.
        options.drain = .seconds(60)
        options.publishers = 3
        options.subscribers = 3
        options.perSecond = 4000
        options.payloadBytes = 40
        return options
    }
}

@Suite("A broker's faults are found")
struct CheckingTests {
    @Test("each fault shows in its own figure, and in no other", arguments: MessageFault.allCases)
    func faults(fault: MessageFault) throws {
        let broker = try FaultyBroker(fault)
        var options = LoadOptions.brief(broker.address)
        if fault != .none { options.drain = .seconds(2) }
        let end = try Throughput(.pair, options).run(RunMemory())
        #expect(end.sent >= 300)
        let tenth = end.sent / 10
        let found = [
            MessageFault.loss: end.lost, .duplicate: end.duplicates,
            .order: end.orderViolations, .corrupt: end.corrupt ?? 0,
            .misroute: end.misrouted ?? 0,
        ]
        for (kind, count) in found {
            // What went to somebody else is missing where it belongs.
            let isMeant = kind == fault || fault == .misroute && kind == .loss
            // A message that is held at the very end has nothing to be late behind.
            let span = isMeant ? tenth - 4...tenth + 1 : 0...(fault == .order ? 3 : 0)
            #expect(span.contains(count), "\(kind): \(count) of \(end.sent)")
        }
        #expect(end.expected == end.sent)
        if fault == .none { #expect(end.received == end.sent) }
    }

    @Test("QoS 1 waits for its acknowledgements, and a full window sends no more")
    func window() throws {
        let broker = try FaultyBroker(.none)
        var options = LoadOptions.brief(broker.address)
        options.qos = .atLeastOnce
        options.subscribeQoS = .atMostOnce
        options.perSecond = 0
        options.window = 5
        let memory = RunMemory()
        let end = try Throughput(.pair, options).run(memory)
        #expect(end.lost == 0 && end.duplicates == 0)
        #expect(memory.outcome?.counters.acknowledged == memory.outcome?.counters.sent)
        #expect(memory.outcome?.acknowledgement.count ?? 0 > 0)
    }

    @Test("with a lag no more is on its way, across loops too", arguments: [1, 2])
    func lag(loops: Int) throws {
        let broker = try FaultyBroker(.none)
        var options = LoadOptions.brief(broker.address)
        options.perSecond = 0
        options.lag = 20
        options.loops = loops
        let end = try Throughput(.fanOut, options).run(RunMemory())
        #expect(end.lost == 0)
        #expect(end.received == end.sent * 3)
        #expect(end.sent > 60, "the windows move: \(end.sent)")
    }

    @Test("a lag window that lost its messages is freed, and told")
    func lagWithLoss() throws {
        let broker = try FaultyBroker(.loss)
        var options = LoadOptions.brief(broker.address)
        options.publishers = 1
        options.perSecond = 0
        options.lag = 2
        options.duration = .milliseconds(900)
        options.drain = .seconds(1)
        let memory = RunMemory()
        let end = try Throughput(.pair, options).run(memory)
        #expect(memory.outcome?.counters.lagResets ?? 0 > 0)
        #expect(end.warnings?.contains { $0.contains("lag") } == true)
        #expect(end.lost > 1)
    }

    @Test("equal seeds send equal messages; those of another seed are nobody's")
    func seeds() throws {
        let broker = try FaultyBroker(.none)
        var options = LoadOptions.brief(broker.address)
        options.limit = 60
        let first = try Throughput(.pair, options).run(RunMemory())
        #expect(first.sent == 60)
        #expect(first.received == 60)
        options.seed = 2
        var groups = TrafficShape.pair.groups(options)
        // Publishes under the first seed's tag would be 1; a subscriber of seed 2 ignores them.
        groups.removeLast()
        options.limit = 0
        options.drain = .zero
        let listening = try Throughput(name: "sub", groups: groups, options).run(RunMemory())
        #expect(listening.received == 0)
    }

    @Test("nobody there, and a broker that goes, are told with a reason")
    func refused() throws {
        let gone = try FaultyBroker(.none).address
        let error = #expect(throws: ScenarioError.self) {
            try Throughput(.pair, .brief(gone)).run(RunMemory())
        }
        #expect(error?.description.contains("nobody listens there") == true)
    }
}
