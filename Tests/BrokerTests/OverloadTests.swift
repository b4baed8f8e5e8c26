import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// Overload and drain where time and memory are the test's.
@Suite("Overload")
struct OverloadTests {
    private let limits: NodeLimits = {
        var limits = NodeLimits()
        limits.memory = 1_000
        limits.disconnectRate = 10
        return limits
    }()

    private func rig() -> Rig {
        var options = RigOptions()
        options.workers = 1
        options.limits = NodeLimitStore(limits)
        return Rig(seed: 5, options)
    }

    private func open(_ rig: Rig, _ clientID: String, _ version: ProtocolVersion = .v5) -> Rig.Link?
    {
        guard let link = rig.connect(to: 0) else { return nil }
        rig.send(link, Greeting.connect(version, clientID))
        var answer: [UInt8] = []
        _ = rig.run(500) {
            answer += rig.take(link)
            return !answer.isEmpty
        }
        #expect(answer.first == 0x20 && answer[3] == 0, "\(clientID): \(answer)")
        return link
    }

    @Test("[refusal D13] who does not read is disconnected when memory is used up, nobody else")
    func slowReadersAreShed() throws {
        let rig = rig()
        let reader = try #require(open(rig, "reader"))
        let sleeper = try #require(open(rig, "sleeper"))
        for link in [reader, sleeper] { rig.send(link, Greeting.subscribe("a", packetID: 1)) }
        let publisher = try #require(open(rig, "publisher"))
        _ = rig.take(sleeper)
        let payload = [UInt8](repeating: 7, count: 60_000)
        for _ in 0..<20 {
            rig.send(publisher, Greeting.publish("a", payload))
            rig.step()
            _ = rig.take(reader)
        }
        _ = rig.options.load.measured(1_000, limits)
        rig.send(publisher, [0xC0, 0])
        for _ in 0..<10 {
            rig.skip(.milliseconds(100))
            rig.step()
        }
        #expect(rig.take(sleeper).suffix(3) == [0xE0, 1, 0x89])
        #expect(!rig.isOpen(sleeper))
        #expect(rig.isOpen(reader) && rig.isOpen(publisher))
        #expect(rig.places[0].worker.metrics.clientsShed == 1)
    }

    @Test(
        "what is dropped for want of memory is counted, and publishers are read ten times a second")
    func publishersAreSlowed() throws {
        let rig = rig()
        let publisher = try #require(open(rig, "publisher"))
        _ = rig.options.load.measured(900, limits)
        rig.step()
        for number in 1...3 as ClosedRange<UInt16> {
            rig.send(publisher, Greeting.publish("a", qos: .atLeastOnce, packetID: number))
        }
        var answered: [Instant] = []
        for _ in 0..<400 where answered.count < 3 {
            rig.step()
            if !rig.take(publisher).isEmpty { answered.append(rig.now) }
        }
        #expect(answered.count == 3)
        for (earlier, later) in zip(answered, answered.dropFirst()) {
            #expect(later - earlier >= .milliseconds(90))
        }
        _ = rig.options.load.measured(1_000, limits)
        rig.step()
        rig.send(publisher, Greeting.publish("a"))
        rig.skip(.milliseconds(200))
        for _ in 0..<20 { rig.step() }
        let worker = rig.places[0].worker
        same(worker.events.metrics.value(.memoryPressure, TenantSlot(0)), 1)
    }

    @Test("while memory is short, who comes back to a stored session is let in, and nobody else")
    func storedSessionsComeBack() throws {
        let node = try RefusalRig { $0.limits = NodeLimitStore(limits) }
        func connect(_ clientID: String, cleanStart: Bool = false) throws -> HostileRow.Answer? {
            let wire = try #require(RigWire(node.rig))
            wire.send(
                Greeting.connect(.v5, clientID) {
                    $0.cleanStart = cleanStart
                    $0.properties.sessionExpiryInterval = 600
                })
            return HostileRow.answer(wire, .v5)
        }
        #expect(try connect("known") == .connack(0))
        _ = node.rig.options.load.measured(1_000, limits)
        #expect(try connect("known") == .connack(0))
        #expect(try connect("unknown") == .connack(0x89))
        #expect(try connect("known", cleanStart: true) == .connack(0x89))
        _ = node.rig.options.load.measured(0, limits)
        #expect(try connect("unknown") == .connack(0))
        #expect(node.rig.options.load.clients == 2)
    }

    @Test("who does not read is not read either, until it does, and loses no answer")
    func deafClient() throws {
        let node = try RefusalRig()
        let wire = try node.subscriber("deaf", qos: .atMostOnce)
        let publisher = try node.open("publisher")
        let payload = [UInt8](repeating: 7, count: 200_000)
        for _ in 0..<25 {
            publisher.send(Greeting.publish("a", payload))
            node.pass(1)
        }
        node.pass()
        let port = node.rig.places[0].port
        #expect(port.outputCount(wire.link.key) > WorkerLimits.outputHeldMax)
        wire.send([0xC0, 0])
        node.pass()
        #expect(port[wire.link.key]?.isPaused == true)
        let waiting = port.outputCount(wire.link.key)
        wire.send([0xC0, 0, 0xC0, 0])
        node.pass()
        #expect(port.outputCount(wire.link.key) == waiting)
        var pings = 0
        while pings < 3, let packet = wire.next() { pings += packet[0] == 0xD0 ? 1 : 0 }
        #expect(pings == 3)
        #expect(port[wire.link.key]?.isPaused == false)
    }

    @Test("[refusal C22, D09] a node stops at its rate, and lets nobody in meanwhile")
    func drain() throws {
        let rig = rig()
        let links = try (0..<5).map { try #require(open(rig, "client-\($0)")) }
        let (newer, older) = (rig.connect(to: 0), rig.connect(to: 0))
        rig.step()
        let worker = rig.places[0].worker
        worker.drain()
        #expect(rig.connect(to: 0) == nil)
        if let newer { rig.send(newer, Greeting.connect(.v5, "newer")) }
        if let older { rig.send(older, Greeting.connect(.v311, "older")) }
        let start = rig.now
        for _ in 0..<3 { rig.step() }
        #expect(newer.map(rig.take)?.dropFirst(2).prefix(2) == [0, 0x88])
        #expect(older.map(rig.take) == [0x20, 2, 0, 3])
        #expect(links.count { !rig.isOpen($0) } == 1, "one at once, then ten a second")
        var heard: [Rig.Link: [UInt8]] = [:]
        let isDrained = rig.run {
            for link in links { heard[link, default: []] += rig.take(link) }
            return worker.isDrained
        }
        #expect(isDrained)
        #expect(rig.now - start >= .milliseconds(390))
        for link in links { #expect(heard[link] == [0xE0, 1, 0x8B]) }
    }

    @Test("a pressure begins at its limit and ends a twentieth below it")
    func hysteresis() {
        func after(_ used: Int, _ before: MemoryPressure) -> MemoryPressure {
            MemoryPressure.of(used, limits, before: before)
        }
        #expect(after(799, .none) == .none)
        #expect(after(800, .none) == .high)
        #expect(after(750, .high) == .high)
        #expect(after(749, .high) == .none)
        #expect(after(1_000, .none) == .over)
        #expect(after(950, .over) == .over)
        #expect(after(949, .over) == .high)
        #expect(MemoryPressure.of(1_000, NodeLimits(), before: .over) == .none)
    }
}
