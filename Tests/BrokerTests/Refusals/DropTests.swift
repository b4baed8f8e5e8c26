import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// Messages that a receiver does not get, each counted under its reason; and the bounds of queues.
@Suite("Messages that are dropped")
struct DropTests {
    private func stored(_ packet: inout ConnectPacket) {
        packet.cleanStart = false
        packet.properties.sessionExpiryInterval = 600
    }

    private func publish(_ wire: RigWire, _ payload: [UInt8], qos: QoS = .atLeastOnce) {
        wire.send(Greeting.publish("a", payload, qos: qos, packetID: UInt16(payload[0])))
    }

    @Test(
        "[refusal Q01] a full queue drops the newest or the oldest, as the tenant says",
        arguments: [("dropNewest", [2, 3]), ("dropOldest", [4, 5])] as [(String, [UInt8])])
    func overflow(policy: String, kept: [UInt8]) throws {
        for isStored in [false, true] {
            let node = try RefusalRig(["SlowConsumerPolicy": policy, "SessionInboxSize": "2"])
            let receiver = try node.subscriber {
                $0.properties.receiveMaximum = 1
                if isStored { stored(&$0) }
            }
            let publisher = try node.open("publisher")
            for number in 1...5 as ClosedRange<UInt8> {
                publish(publisher, [number])
                publisher.hears(.puback(0))
            }
            var got: [UInt8] = []
            while got.count < 3, let delivery = receiver.delivery() {
                got += delivery.payload
                receiver.send([0x40, 2] + delivery.packetID)
            }
            // A stored session's queue holds what is in flight too.
            if !isStored { #expect(got == [1] + kept) }
            #expect(node.drops(.overflow) == (isStored ? 3 : 2), "stored: \(isStored)")
        }
    }

    @Test("[refusal D12] a full queue ends the connection, where the tenant wants that")
    func slowConsumerEnds() throws {
        let node = try RefusalRig(["SlowConsumerPolicy": "disconnect", "SessionInboxSize": "2"])
        let newer = try node.subscriber("newer") { $0.properties.receiveMaximum = 1 }
        let publisher = try node.open("publisher")
        for number in 1...4 as ClosedRange<UInt8> { publish(publisher, [number]) }
        publisher.hears(.puback(0), .puback(0), .puback(0), .puback(0))
        newer.hears(.disconnect(0x97), .closed)
        #expect(node.drops(.overflow) == 1)
    }

    @Test("[refusal D12] so it does for 3.1.1, without a word")
    func olderSlowConsumerEnds() throws {
        let node = try RefusalRig([
            "SlowConsumerPolicy": "disconnect", "SessionInboxSize": "2", "MaxSendWindow": "1",
            "MinSendPerSec": "1",
        ])
        let older = try node.subscriber("older", .v311)
        let publisher = try node.open("publisher")
        for number in 1...4 as ClosedRange<UInt8> { publish(publisher, [number]) }
        older.hears(.closed)
    }

    @Test("[refusal Q02] a message that expires before its delivery begins")
    func expired() throws {
        let node = try RefusalRig()
        let receiver = try node.subscriber { $0.properties.receiveMaximum = 1 }
        let publisher = try node.open("publisher")
        publish(publisher, [1])
        publish(publisher, [2])
        publisher.send(
            Greeting.packet(0x32, Greeting.text("a") + [0, 3, 5, 2, 0, 0, 0, 1, 3]))
        publisher.hears(.puback(0), .puback(0), .puback(0))
        node.rig.skip(.seconds(5))
        var got: [UInt8] = []
        while got.count < 2, let delivery = receiver.delivery() {
            got += delivery.payload
            receiver.send([0x40, 2] + delivery.packetID)
        }
        publish(publisher, [4])
        #expect(receiver.delivery()?.payload == [4])
        #expect(got == [1, 2])
        #expect(node.drops(.expired) == 1)
    }

    @Test("[refusal Q05] QoS 0 for a stored session that is away, unless the tenant queues it")
    func offline() throws {
        for queues in [false, true] {
            let node = try RefusalRig(["QueueQoS0Offline": "\(queues)"])
            let receiver = try node.subscriber("receiver", change: stored)
            let publisher = try node.open("publisher")
            receiver.send([0xE0, 0])
            receiver.hears(.closed)
            node.pass()
            publish(publisher, [1], qos: .atMostOnce)
            node.pass()
            #expect(node.drops(.offlineQoS0) == (queues ? 0 : 1))
            let again = try node.open("receiver", change: stored)
            publish(publisher, [2], qos: .atMostOnce)
            #expect(again.delivery()?.payload == [queues ? 1 : 2])
        }
    }

    @Test("[refusal Q06] QoS 0 for a client that does not read; QoS 1 waits")
    func slowConsumer() throws {
        let node = try RefusalRig()
        let receiver = try node.subscriber()
        let publisher = try node.open("publisher")
        let large = [UInt8](repeating: 7, count: 120_000)
        for _ in 0..<60 {
            publish(publisher, large, qos: .atMostOnce)
            node.pass(1)
        }
        node.pass()
        let dropped = node.drops(.slowConsumer)
        #expect(dropped > 5 && dropped < 40)
        publish(publisher, [9])
        publisher.hears(.puback(0))
        var got: [[UInt8]] = []
        while got.last != [9], let delivery = receiver.delivery() { got.append(delivery.payload) }
        #expect(got.count == 60 - dropped + 1)
    }

    @Test("[refusal Q07, P20] the way to another loop is full: QoS 0 is dropped, the rest is not")
    func mailboxFull() throws {
        let node = try RefusalRig(workers: 2)
        let receiver = try node.subscriber("receiver", to: 1)
        let publisher = try node.open("publisher")
        publish(publisher, [1])
        publisher.hears(.puback(0))
        #expect(receiver.delivery()?.payload == [1])
        node.rig.places[0].port.backlog = WorkerLimits.mailBacklogMax + 1
        publish(publisher, [2], qos: .atMostOnce)
        publish(publisher, [3])
        publisher.hears(.puback(0))
        #expect(receiver.delivery()?.payload == [3])
        #expect(node.drops(.mailboxFull) == 1)
        node.rig.places[0].port.backlog = 0
        publish(publisher, [4], qos: .atMostOnce)
        #expect(receiver.delivery()?.payload == [4])
    }

    @Test("[refusal Q11] what waits for a session that ends")
    func sessionClosed() throws {
        let node = try RefusalRig()
        let receiver = try node.subscriber { $0.properties.receiveMaximum = 1 }
        let publisher = try node.open("publisher")
        for number in 1...4 as ClosedRange<UInt8> { publish(publisher, [number]) }
        publisher.hears(.puback(0), .puback(0), .puback(0), .puback(0))
        receiver.send([0xE0, 0])
        receiver.hears(.closed)
        #expect(node.drops(.sessionClosed) == 3, "one had been sent")
    }

    @Test("[refusal Q12] [attack 16] a will that its owner may no longer publish when it is due")
    func willDenied() throws {
        let rules = { (verb: String) in try RigStage.table("\(verb) publish w\ndefault allow") }
        let authoriser = FileAuthoriser(try rules("allow"))
        let node = try RefusalRig { $0.authoriser = authoriser }
        let observer = try node.open("observer")
        observer.send(Greeting.subscribe("w"))
        observer.hears(.suback([0]))
        for isAllowed in [true, false] {
            let owner = try node.open("owner-\(isAllowed)") {
                $0.will = WillMessage(
                    topic: Array("w".utf8), payload: [isAllowed ? 1 : 0], qos: .atMostOnce,
                    retain: false)
            }
            if !isAllowed { authoriser.reload(try rules("deny")) }
            node.pass()
            node.rig.cut(owner.link)
            node.pass()
        }
        #expect(observer.delivery()?.payload == [1])
        observer.send([0xC0, 0])
        #expect(observer.next() == [0xD0, 0], "the second will was not to come")
        #expect(node.drops(.noPubPermission) == 1)
    }

    @Test("[refusal Q13] wills at an orderly end, where the tenant wants none then")
    func willSuppressed() throws {
        for isOff in [true, false] {
            let node = try RefusalRig(["NoLWTWhenServerShuttingDown": "\(isOff)"])
            let owner = try node.open("owner") {
                $0.will = WillMessage(
                    topic: Array("w".utf8), payload: [1], qos: .atMostOnce, retain: false)
            }
            node.rig.places[0].worker.drain()
            owner.hears(.disconnect(0x8B), .closed)
            #expect(node.drops(.willSuppressed) == (isOff ? 1 : 0))
        }
    }

    @Test("[refusal A05] a receiver refuses a message: counted, and nobody gets it instead")
    func receiverRefuses() throws {
        let node = try RefusalRig()
        let first = try node.open("first")
        first.send(Greeting.subscribe("$share/g/a", qos: .exactlyOnce))
        first.hears(.suback([2]))
        let second = try node.open("second")
        second.send(Greeting.subscribe("$share/g/a", qos: .exactlyOnce))
        second.hears(.suback([2]))
        let publisher = try node.open("publisher")
        for qos in [QoS.atLeastOnce, .exactlyOnce] {
            publish(publisher, [qos.rawValue], qos: qos)
            publish(publisher, [qos.rawValue + 8], qos: qos)
        }
        node.pass()
        for receiver in [first, second] {
            for type in [0x40, 0x50] as [UInt8] {
                let delivery = try #require(receiver.delivery())
                receiver.send([type, 3] + delivery.packetID + [0x97])
            }
        }
        node.pass(40)
        #expect(node.drops(.receiverRefused) == 4)
        for receiver in [first, second] {
            receiver.send([0xC0, 0])
            #expect(receiver.next() == [0xD0, 0])
        }
    }

    @Test("[refusal P18] a stored publisher's outbox is full")
    func outboxFull() throws {
        let node = try RefusalRig(["ReceivingMaximum": "8000"])
        let publisher = try node.open("publisher", change: stored)
        let older = try node.open("older", .v311) { $0.cleanStart = false }
        for number in 1...4_200 as ClosedRange<UInt16> {
            publisher.send(Greeting.publish("a", qos: .exactlyOnce, packetID: number))
        }
        var answers: [HostileRow.Answer?] = []
        for _ in 0..<4_200 { answers.append(HostileRow.answer(publisher, .v5)) }
        let refused = answers.count { $0 == .pubrec(0x97) }
        #expect(refused > 0 && refused < 4_200 - 4_000)
        #expect(answers.count { $0 == .pubrec(0) } == 4_200 - refused)
        var all: [UInt8] = []
        for number in 1...4_200 as ClosedRange<UInt16> {
            all += Greeting.publish("a", qos: .exactlyOnce, version: .v311, packetID: number)
        }
        older.send(all)
        while let packet = older.next() { #expect(packet[0] == 0x50) }
    }

    @Test("a stored session that takes more than its credit at once is granted more")
    func beyondCredit() throws {
        let node = try RefusalRig()
        let receiver = try node.subscriber("receiver", change: stored)
        receiver.send([0xE0, 0])
        receiver.hears(.closed)
        let publisher = try node.open("publisher")
        // Bytes: the last message of the first credit exceeds it.
        for number in 1...60 as ClosedRange<UInt8> {
            publish(publisher, [number] + [UInt8](repeating: 7, count: 50_000))
            publisher.hears(.puback(0))
        }
        let again = try node.open("receiver", change: stored)
        var got: [UInt8] = []
        for _ in 0..<200 where got.count < 60 {
            node.pass(3)
            var acknowledgements: [UInt8] = []
            again.read()
            while let delivery = again.waitingDelivery() {
                got.append(delivery.payload[0])
                acknowledgements += [0x40, 2] + delivery.packetID
            }
            if !acknowledgements.isEmpty { again.send(acknowledgements) }
        }
        #expect(got == Array(1...60))
        // Messages: QoS 0 is pushed without credit.
        for _ in 0..<3_000 { publish(publisher, [1], qos: .atMostOnce) }
        publish(publisher, [2])
        publisher.hears(.puback(0))
        var count = 0
        while let delivery = again.delivery(), delivery.payload == [1] { count += 1 }
        #expect(count == 3_000)
    }

    @Test("[refusal S13] a shared group has so many members")
    func groupFull() throws {
        let node = try RefusalRig(["MaxSharedGroupMembers": "2"])
        for (number, version) in [ProtocolVersion.v5, .v311, .v5, .v311].enumerated() {
            let wire = try node.open("member-\(number)", version)
            wire.send(Greeting.subscribe("$share/g/a", qos: .atLeastOnce, version: version))
            wire.hears(.suback([number < 2 ? 1 : version == .v5 ? 0x97 : 0x80]))
        }
    }

    @Test("[refusal D21] an answer that does not fit the client's packet size even bare")
    func answerTooLarge() throws {
        let node = try RefusalRig()
        let wire = try node.open("small") { $0.properties.maximumPacketSize = 60 }
        let entries = (0..<60).flatMap { Greeting.text("f/\($0)") + [0] as [UInt8] }
        wire.send(Greeting.packet(0x82, [0, 1, 0] + entries))
        wire.hears(.disconnect(0x83), .closed)
    }
}
