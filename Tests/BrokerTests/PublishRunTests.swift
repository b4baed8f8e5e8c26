import Base
import MQTT
import Simulation
import TestKit
import Testing

/// Many PUBLISH packets in one read: what is known of one is used for those that follow.
@Suite("Publishes that come together")
struct PublishRunTests {
    private func publishes(
        _ version: ProtocolVersion, _ topic: String, _ qos: QoS, _ numbers: Range<Int>,
        payload: String? = nil
    ) -> [UInt8] {
        var writer = ByteWriter()
        for number in numbers {
            PublishEncoding.encode(
                PublishFields(
                    version: version, qos: qos, dup: false, retain: false,
                    packetID: qos == .atMostOnce ? 0 : UInt16(number + 1), topicAlias: 0,
                    messageExpiry: nil),
                topic: Array(topic.utf8), forwarded: [], subscriptionIDs: [],
                payload: Array((payload ?? "\(number)").utf8), into: &writer)
        }
        return writer.array
    }

    private func numbers(_ range: Range<Int>) -> [String] { range.map { "\($0)" } }

    private func payloads(_ client: RigClient, _ topic: String) -> [String] {
        client.received.filter { $0.topic == topic }.map(\.payload)
    }

    @Test(
        "reach receivers of every version and QoS, in the order of their topic and once",
        arguments: [ProtocolVersion.v31, .v311, .v5], [QoS.atMostOnce, .atLeastOnce, .exactlyOnce])
    func everyReceiver(version: ProtocolVersion, qos: QoS) {
        let rig = Rig(seed: 21)
        let publisher = RigClient(rig, "publisher", version: version)
        let receivers = [ProtocolVersion.v311, .v5].flatMap { version in
            QoS.allCases.map { (RigClient(rig, "to-\(version)-\($0)", version: version), $0) }
        }
        let all = [publisher] + receivers.map(\.0)
        for client in all { client.connect(to: 0) }
        #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
        let asked = receivers.map { $0.0.subscribe(["plant/+/heat"], qos: $0.1) }
        #expect(
            rig.settle(all) { zip(receivers, asked).allSatisfy { $0.0.answers[$1] != nil } })
        publisher.sendRaw(
            publishes(version, "plant/7/heat", qos, 0..<12)
                + publishes(version, "plant/8/heat", qos, 12..<15)
                + publishes(version, "plant/7/heat", qos, 15..<20))
        #expect(rig.settle(all) { receivers.allSatisfy { $0.0.received.count >= 20 } })
        for (receiver, granted) in receivers {
            #expect(payloads(receiver, "plant/7/heat") == numbers(0..<12) + numbers(15..<20))
            #expect(payloads(receiver, "plant/8/heat") == numbers(12..<15))
            #expect(receiver.received.allSatisfy { $0.qos == min(qos, granted) })
        }
        #expect(receivers.flatMap(\.0.complaints) == [])
        if qos == .atLeastOnce { #expect(publisher.codes.count == 20) }
    }

    @Test("a receiver alone gets them by the version and QoS of its own")
    func oneReceiver() {
        for (version, qos) in [(ProtocolVersion.v311, QoS.atMostOnce), (.v5, .atLeastOnce)] {
            let rig = Rig(seed: 22)
            let publisher = RigClient(rig, "publisher", version: .v5)
            let receiver = RigClient(rig, "receiver", version: version)
            let all = [publisher, receiver]
            for client in all { client.connect(to: 0) }
            #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
            let asked = receiver.subscribe(["a/b"], qos: qos)
            #expect(rig.settle(all) { receiver.answers[asked] != nil })
            publisher.sendRaw(publishes(.v5, "a/b", .atLeastOnce, 0..<20))
            #expect(rig.settle(all) { receiver.received.count >= 20 })
            #expect(receiver.received.map(\.payload) == numbers(0..<20))
            #expect(receiver.received.allSatisfy { $0.qos == qos })
            #expect(receiver.complaints == [])
        }
    }

    @Test("a faulty packet among them ends the connection; those before it arrive")
    func faultyPacket() {
        let rig = Rig(seed: 23)
        let publisher = RigClient(rig, "publisher")
        let receiver = RigClient(rig, "receiver")
        let all = [publisher, receiver]
        for client in all { client.connect(to: 0) }
        #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
        let asked = receiver.subscribe(["a/b"], qos: .atLeastOnce)
        #expect(rig.settle(all) { receiver.answers[asked] != nil })
        let good = publishes(.v5, "a/b", .atLeastOnce, 0..<2)
        var bad = publishes(.v5, "a/b", .atLeastOnce, 2..<3)
        // Its packet id.
        bad[7] = 0
        bad[8] = 0
        publisher.sendRaw(good + bad + publishes(.v5, "a/b", .atLeastOnce, 3..<4))
        #expect(rig.settle(all) { publisher.disconnect != nil })
        #expect(publisher.disconnect?.reasonCode == .protocolError)
        #expect(rig.settle(all) { receiver.received.count >= 2 })
        #expect(receiver.received.map(\.payload) == ["0", "1"])
    }

    @Test("who subscribes or leaves in between gets what it should")
    func routesInBetween() {
        let rig = Rig(seed: 24)
        let client = RigClient(rig, "client", version: .v311)
        let other = RigClient(rig, "other", version: .v311)
        let all = [client, other]
        for client in all { client.connect(to: 0) }
        #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
        let asked = [client, other].map { $0.subscribe(["a/b"], qos: .atMostOnce) }
        #expect(rig.settle(all) { zip(all, asked).allSatisfy { $0.answers[$1] != nil } })
        // Whom it goes to is known from here on.
        client.sendRaw(publishes(.v311, "a/b", .atMostOnce, 0..<1))
        #expect(rig.settle(all) { all.allSatisfy { $0.received.count == 1 } })
        // Packet id 900; the filter a/b.
        let unsubscribe: [UInt8] = [0xA2, 7, 3, 0x84, 0, 3, 0x61, 0x2F, 0x62]
        client.sendRaw(
            publishes(.v311, "a/b", .atMostOnce, 1..<6) + unsubscribe
                + publishes(.v311, "a/b", .atMostOnce, 6..<11))
        #expect(rig.settle(all) { other.received.count >= 11 })
        #expect(other.received.map(\.payload) == numbers(0..<11))
        #expect(client.received.map(\.payload) == numbers(0..<6))
    }

    @Test("what is known of one read says nothing of the next")
    func nextRead() {
        let rig = Rig(seed: 25)
        let publisher = RigClient(rig, "publisher")
        let receiver = RigClient(rig, "receiver")
        let all = [publisher, receiver]
        for client in all { client.connect(to: 0) }
        #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
        let asked = receiver.subscribe(["a/b"], qos: .atLeastOnce)
        #expect(rig.settle(all) { receiver.answers[asked] != nil })
        var sent = 0
        for (topic, count) in [("a/b", 3), ("a/b", 3), ("a/c", 2), ("a/b", 2)] {
            publisher.sendRaw(publishes(.v5, topic, .atLeastOnce, sent..<sent + count))
            sent += count
            #expect(rig.settle(all) { publisher.codes.count == sent })
        }
        #expect(receiver.received.map(\.payload) == numbers(0..<6) + numbers(8..<10))
    }

    @Test(
        "of QoS 0 are copied together, and counted one by one",
        arguments: [ProtocolVersion.v31, .v311, .v5])
    func bursts(version: ProtocolVersion) {
        let rig = Rig(seed: 26)
        let publisher = RigClient(rig, "publisher", version: version)
        let receivers = (0..<3).map { RigClient(rig, "to-\($0)", version: version) }
        let all = [publisher] + receivers
        for client in all { client.connect(to: 0) }
        #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
        let asked = receivers.map { $0.subscribe(["a/b"], qos: .exactlyOnce) }
        #expect(rig.settle(all) { zip(receivers, asked).allSatisfy { $0.answers[$1] != nil } })
        publisher.sendRaw(publishes(version, "a/b", .atMostOnce, 0..<1))
        #expect(rig.settle(all) { receivers.allSatisfy { $0.received.count == 1 } })
        let before = rig.places[0].worker.metrics
        publisher.sendRaw(
            publishes(version, "a/b", .atMostOnce, 1..<40)
                + publishes(version, "a/c", .atMostOnce, 40..<42)
                + publishes(version, "a/b", .atMostOnce, 42..<60))
        #expect(rig.settle(all) { receivers.allSatisfy { $0.received.count == 58 } })
        let after = rig.places[0].worker.metrics
        #expect(after.packetsIn - before.packetsIn == 59)
        #expect(after.publishesIn - before.publishesIn == 59)
        #expect(after.publishesOut - before.publishesOut == 57 * 3)
        let size = publishes(version, "a/b", .atMostOnce, 10..<11).count
        #expect(after.bytesOut - before.bytesOut == UInt64((57 * size - 9) * 3))
        for receiver in receivers {
            #expect(receiver.received.map(\.payload) == numbers(0..<40) + numbers(42..<60))
            #expect(receiver.complaints == [])
        }
    }

    /// Who has anything in the way of a plain copy.
    enum Peculiar: CaseIterable {
        case identifier, noLocal, otherVersion, smallPackets
    }

    @Test(
        "one receiver that needs its own packets leaves the others theirs",
        arguments: Peculiar.allCases)
    func peculiarReceiver(kind: Peculiar) {
        let rig = Rig(seed: 27)
        let publisher = RigClient(rig, "publisher", version: .v5)
        let plain = RigClient(rig, "plain", version: .v5)
        let other = RigClient(
            rig, "other", version: kind == .otherVersion ? .v311 : .v5)
        for client in [publisher, plain] { client.connect(to: 0) }
        other.connect(to: 0) { if kind == .smallPackets { $0.properties.maximumPacketSize = 20 } }
        let all = [publisher, plain, other]
        #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
        var asked = [(plain, plain.subscribe(["a/b"]))]
        asked.append(
            (other, other.subscribe(["a/b"], subscriptionID: kind == .identifier ? 7 : 0)))
        if kind == .noLocal {
            asked.append((publisher, publisher.subscribe(["a/b"], noLocal: true)))
        }
        #expect(rig.settle(all) { asked.allSatisfy { $0.0.answers[$0.1] != nil } })
        publisher.sendRaw(publishes(.v5, "a/b", .atMostOnce, 0..<1))
        #expect(rig.settle(all) { plain.received.count == 1 })
        let long = String(repeating: "x", count: 30)
        publisher.sendRaw(
            publishes(.v5, "a/b", .atMostOnce, 1..<20)
                + publishes(.v5, "a/b", .atMostOnce, 20..<21, payload: long)
                + publishes(.v5, "a/b", .atMostOnce, 21..<30))
        #expect(rig.settle(all) { plain.received.count == 30 })
        #expect(plain.received.map(\.payload) == numbers(0..<20) + [long] + numbers(21..<30))
        #expect(publisher.received.isEmpty)
        let missing = kind == .smallPackets ? [] : [long]
        #expect(other.received.map(\.payload) == numbers(0..<20) + missing + numbers(21..<30))
        #expect(
            other.received.allSatisfy { $0.subscriptionIDs == (kind == .identifier ? [7] : []) })
    }
}
