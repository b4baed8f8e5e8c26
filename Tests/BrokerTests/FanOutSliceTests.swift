import Base
import Broker
import MQTT
import Policy
import Simulation
import TestKit
import Testing

/// Messages with more receivers on a worker than one slice has.
@Suite("Fan-outs in slices")
struct FanOutSliceTests {
    /// A rig of workers whose slices have three receivers.
    private func stage(
        workers: Int = 2, seed: UInt64 = 1, slice: Int = 3, bytesMax: Int = 64 << 20
    ) throws -> SettingRig {
        try SettingRig(workers: workers, seed: seed) {
            $0.fanOut.slice = slice
            $0.fanOut.receiversAtOnce = slice
            $0.fanOut.bytesMax = bytesMax
        }
    }

    private func readers(
        _ rig: SettingRig, _ count: Int, _ filters: String..., version: ProtocolVersion = .v5,
        subscriptionIDs: [UInt32] = [0]
    ) -> [RigClient] {
        (0..<count).map { number in
            let reader = rig.connect("reader-\(number)", version)
            for (position, filter) in filters.enumerated() {
                let identifier = subscriptionIDs[position % subscriptionIDs.count]
                #expect(rig.subscribe(reader, filter, subscriptionID: identifier) == "0x2")
            }
            return reader
        }
    }

    private func sliced(_ rig: SettingRig) -> UInt64 {
        rig.rig.places.reduce(0) { $0 + $1.worker.metrics.fanOutsSliced }
    }

    /// Until every message has reached its last receiver.
    private func finish(_ rig: SettingRig) {
        var quietTurns = 0
        #expect(
            rig.settle {
                rig.rig.skip(.zero)
                let isQuiet = rig.rig.places.allSatisfy { $0.worker.load.fanOuts == 0 }
                quietTurns = isQuiet ? quietTurns + 1 : 0
                return quietTurns == 8
            })
    }

    @Test(
        "every receiver sees each publisher's messages of a topic once and in their order",
        arguments: Seed.series(4), [["a/b"], ["a/b", "a/+"]])
    func order(seed: Seed, filters: [String]) throws {
        let rig = try stage(seed: seed.value)
        let readers = (0..<11).map { number in
            let reader = rig.connect("reader-\(number)", number % 2 == 0 ? .v5 : .v311)
            for filter in filters { #expect(rig.subscribe(reader, filter) == "0x2") }
            return reader
        }
        // Of the worker itself, and of another.
        let publishers = [rig.connect("near"), rig.connect("far", to: 1)]
        var random = SeededRandom(seed: seed.value)
        for number in 0..<40 {
            for publisher in publishers {
                let qos = QoS(rawValue: UInt8(random.below(3))) ?? .atMostOnce
                publisher.publish("a/b", "\(publisher.clientID) \(number)", qos: qos)
            }
            if random.chance(percent: 30) { rig.pass(1) }
        }
        finish(rig)
        #expect(publishers.allSatisfy { $0.sending.isEmpty })
        #expect(sliced(rig) == 80)
        for reader in readers {
            for publisher in publishers {
                let got = reader.payloads.filter { $0.hasPrefix(publisher.clientID) }
                #expect(got == (0..<40).map { "\(publisher.clientID) \($0)" })
            }
        }
    }

    @Test(
        "PUBACK and PUBCOMP come after the last slice", arguments: [0, 1],
        [QoS.atLeastOnce, .exactlyOnce])
    func acknowledgedLast(worker: Int, qos: QoS) throws {
        let rig = try stage()
        let readers = readers(rig, 10, "a")
        let publisher = rig.connect("publisher", to: worker)
        let other = rig.connect("other", to: worker)
        publisher.publish("a", "slow", qos: qos)
        other.publish("elsewhere", "quick", qos: qos)
        var wasQuicker = false
        #expect(
            rig.settle {
                if other.acknowledged["quick"] != nil, publisher.acknowledged["slow"] == nil {
                    wasQuicker = true
                }
                return publisher.sending.first?.message.isReleased != false
            })
        // Nothing is said before everyone has it.
        #expect(readers.map(\.payloads.count) == Array(repeating: 1, count: 10))
        finish(rig)
        #expect(publisher.acknowledged["slow"] == .success)
        #expect(wasQuicker)
        #expect(rig.rig.places.allSatisfy { $0.worker.load.trackers == 0 })
    }

    @Test("a message of another topic passes one that is being delivered")
    func bystander() throws {
        let rig = try stage(slice: 2)
        let readers = readers(rig, 12, "a")
        let bystander = rig.connect("bystander")
        #expect(rig.subscribe(bystander, "b") == "0x2")
        let publisher = rig.connect("publisher")
        let neighbour = rig.connect("neighbour", to: 1)
        publisher.publish("a", "many")
        rig.pass(1)
        neighbour.publish("b", "few", qos: .atLeastOnce)
        #expect(rig.settle { neighbour.sending.isEmpty })
        #expect(bystander.payloads == ["few"])
        #expect(readers.contains { $0.received.isEmpty })
        finish(rig)
        #expect(readers.allSatisfy { $0.payloads == ["many"] })
    }

    @Test(
        "receivers that come and go between slices: who stays gets it once, no other does",
        arguments: [["a"], ["a", "+"]])
    func comeAndGo(filters: [String]) throws {
        let rig = try stage(slice: 1)
        let readers = (0..<12).map { number in
            let reader = rig.connect("reader-\(number)")
            for filter in filters { #expect(rig.subscribe(reader, filter) == "0x2") }
            return reader
        }
        let publisher = rig.connect("publisher")
        publisher.publish("a", "late", qos: .atLeastOnce)
        rig.pass(2)
        #expect(readers[6...].allSatisfy { $0.received.isEmpty })
        // One that has it is lost, so that others move into its place; one that has not is, and a
        // new client gets its cell; one unsubscribes.
        let steps = rig.rig.places[0].worker.metrics.fanOutSlices
        readers[0].cut()
        readers[8].cut()
        _ = readers[9].unsubscribe(filters)
        let newcomer = RigClient(rig.rig, "newcomer")
        newcomer.connect(to: 0)
        _ = newcomer.subscribe(["a"])
        #expect(steps < 6)
        finish(rig)
        rig.pass(20)
        newcomer.receive()
        #expect(publisher.acknowledged["late"] == .success)
        for (number, reader) in readers.enumerated() where ![0, 8, 9].contains(number) {
            #expect(reader.payloads == ["late"], "\(number)")
        }
        #expect(readers[9].payloads.isEmpty && newcomer.received.isEmpty)
        #expect(newcomer.isConnected && newcomer.answers.count == 1)
    }

    @Test("overlapping filters: one copy with all identifiers, also in a slice")
    func identifiers() throws {
        let rig = try stage()
        let readers = readers(rig, 8, "a/b", "a/#", "+/b", subscriptionIDs: [3, 1, 2])
        let publisher = rig.connect("publisher", to: 1)
        #expect(rig.publish(publisher, "a/b", "once", qos: .exactlyOnce) == "0x0")
        finish(rig)
        for reader in readers {
            #expect(reader.payloads == ["once"])
            #expect(reader.received.first.map { Set($0.subscriptionIDs) } == [1, 2, 3])
        }
        #expect(sliced(rig) == 1)
    }

    @Test("the publisher of a long fan-out does not get its own message where it asked for that")
    func noLocal() throws {
        let rig = try stage()
        let readers = readers(rig, 6, "a")
        let publisher = rig.connect("publisher")
        var request = SubscribeRequest(
            packetID: 77,
            entries: [
                SubscribeRequest.Entry(
                    filter: Array("a".utf8),
                    options: SubscriptionOptions(
                        maximumQoS: .exactlyOnce, noLocal: true, retainAsPublished: false,
                        retainHandling: .send))
            ])
        request.subscriptionID = 0
        var writer = ByteWriter()
        request.encode(.v5, into: &writer)
        publisher.sendRaw(writer.array)
        #expect(rig.settle { publisher.answers[77] == [.grantedQoS2] })
        #expect(rig.publish(publisher, "a", "mine") == "0x0")
        finish(rig)
        #expect(readers.allSatisfy { $0.payloads == ["mine"] })
        #expect(publisher.received.isEmpty)
    }

    @Test("a publisher that is far ahead of its receivers is not read, and goes on afterwards")
    func held() throws {
        let rig = try stage(slice: 1)
        let readers = readers(rig, 5, "a")
        let publisher = rig.connect("publisher")
        // The topic's routes are known afterwards.
        #expect(rig.publish(publisher, "a", "first") == "0x0")
        let before = rig.rig.places[0].worker.metrics.publishesIn
        for number in 0..<150 { publisher.publish("a", "\(number)") }
        rig.pass(4)
        let taken = Int(rig.rig.places[0].worker.metrics.publishesIn - before)
        #expect(taken <= WorkerLimits.fanOutAheadMax)
        #expect(
            rig.settle {
                readers.allSatisfy { $0.payloads == ["first"] + (0..<150).map { "\($0)" } }
            })
    }

    @Test("what may wait has a limit: QoS 0 is dropped and counted, QoS 1 arrives all the same")
    func bound() throws {
        let rig = try stage(slice: 1, bytesMax: 4_000)
        let readers = readers(rig, 4, "a")
        let publisher = rig.connect("publisher", to: 1)
        let body = String(repeating: "x", count: 600)
        for number in 0..<10 { publisher.publish("a", body + "q0 \(number)") }
        for number in 0..<10 { publisher.publish("a", body + "q1 \(number)", qos: .atLeastOnce) }
        finish(rig)
        #expect(publisher.sending.isEmpty)
        let worker = rig.rig.places[0].worker
        #expect(worker.metrics.fanOutsRushed > 0)
        let dropped = rig.drops(.loopLate)
        #expect(dropped > 0 && dropped % 4 == 0)
        for reader in readers {
            #expect(reader.received.count { $0.qos == .atMostOnce } == 10 - dropped / 4)
            let kept = reader.payloads.filter { $0.contains("q1") }
            #expect(kept == (0..<10).map { body + "q1 \($0)" })
        }
    }

    @Test("a publisher that leaves in between, and a node that drains, leave nothing behind")
    func ends() throws {
        let rig = try stage(slice: 1)
        let readers = readers(rig, 6, "a")
        let publisher = rig.connect("publisher")
        publisher.publish("a", "last words", qos: .atLeastOnce)
        publisher.publish("a", "and these", qos: .atMostOnce)
        rig.pass(1)
        publisher.cut()
        finish(rig)
        #expect(readers.allSatisfy { $0.payloads == ["last words", "and these"] })
        let another = rig.connect("another")
        another.publish("a", "in vain", qos: .exactlyOnce)
        rig.pass(1)
        for place in rig.rig.places {
            place.worker.beginTurn(now: rig.rig.now, wallTime: rig.rig.wallTime)
            place.worker.drain()
        }
        #expect(rig.settle { rig.rig.places.allSatisfy { $0.worker.isDrained } })
        #expect(
            rig.settle { rig.rig.places.allSatisfy { $0.worker.load == WorkerLoad() } })
    }
}
