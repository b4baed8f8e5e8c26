import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// Rules that change under live sessions.
@Suite("Access rules that change")
struct RuleChangeTests {
    private static let open = "default allow\n"
    private static let closed = """
        deny publish,subscribe closed/#
        default allow
        """

    @Test("[refusal D07] who may not connect any more is disconnected, others are not")
    func connectWithdrawn() throws {
        let authoriser = FileAuthoriser(try RigStage.table(Self.open))
        let access = try RigStage(authoriser)
        let newer = access.client("newer", to: 0, user: "banned")
        let older = access.client("older", to: 1, user: "banned", version: .v311)
        let other = access.client("other", to: 2, user: "free")
        let all = [newer, older, other]
        authoriser.reload(try RigStage.table("deny connect user=banned\ndefault allow\n"))
        access.settle(all) { newer.link == nil && older.link == nil }
        #expect(newer.disconnect?.reasonCode == .notAuthorized)
        #expect(older.disconnect == nil)
        #expect(other.isConnected)
        #expect(access.count(.kicked) == 2)
        access.connect(newer, user: "banned")
        access.settle(all) { newer.connack != nil }
        #expect(newer.connack?.reasonCode == .notAuthorized)
    }

    @Test("every session of a worker is judged again, however many turns it takes")
    func manySessions() throws {
        let authoriser = FileAuthoriser(try RigStage.table(Self.open))
        let access = try RigStage(authoriser, workers: 1)
        let clients = (0..<WorkerLimits.rejudgedPerTurn + 88).map { number in
            let client = RigClient(access.rig, "client-\(number)")
            access.connect(client, user: number % 2 == 0 ? "even" : "odd")
            return client
        }
        access.settle(clients) { clients.allSatisfy(\.isConnected) }
        authoriser.reload(try RigStage.table("deny connect user=even\ndefault allow\n"))
        // The last of them all acts before its turn.
        let last = clients[clients.count - 1]
        last.publish("a", "last", qos: .atLeastOnce)
        access.settle(clients) {
            clients.enumerated().allSatisfy { ($0.offset % 2 == 0) == ($0.element.link == nil) }
        }
        access.settle(clients) { last.acknowledged["last"] == .noMatchingSubscribers }
        access.pass(clients, turns: 3)
        #expect(clients.count(where: \.isConnected) == clients.count / 2)
    }

    @Test(
        "[refusal Q04] what a receiver may no longer read is dropped and counted, until it may",
        arguments: [0, 1, 2] as [UInt8])
    func deliveries(qos: UInt8) throws {
        let authoriser = FileAuthoriser(try RigStage.table(Self.open))
        let access = try RigStage(authoriser, seed: 7 + UInt64(qos))
        let level = QoS(rawValue: qos) ?? .atMostOnce
        let publisher = access.client("publisher")
        let near = access.client("near")
        let far = access.client("far", to: 1)
        let stored = access.client("stored", to: 2, expiry: 60)
        let shared = access.client("shared", to: 1)
        let receivers = [near, far, stored, shared]
        let all = receivers + [publisher]
        for receiver in receivers.dropLast() {
            #expect(access.subscribe(receiver, "#", qos: level) == [.granted(level)])
        }
        #expect(access.subscribe(shared, "$share/g/+/x", qos: level) == [.granted(level)])
        func publish(_ payload: String, expected: Int) {
            publisher.publish("closed/x", payload, qos: level)
            publisher.publish("open/x", payload, qos: level)
            access.settle(all) {
                publisher.sending.isEmpty
                    && receivers.allSatisfy { $0.received.count >= expected }
            }
            access.pass(all)
            #expect(receivers.map(\.received.count) == [expected, expected, expected, expected])
        }
        publish("before", expected: 2)
        let rules = "deny subscribe closed/#\ndefault allow\n"
        authoriser.reload(try RigStage.table(rules))
        publish("denied", expected: 3)
        #expect(access.drops(.noSubPermission) == 4)
        let kind: EventKind = [.qos0Dropped, .qos1Dropped, .qos2Dropped][Int(qos)]
        #expect(access.count(kind) == 4)
        authoriser.reload(try RigStage.table(Self.open))
        publish("again", expected: 5)
        #expect(access.drops(.noSubPermission) == 4)
        #expect(all.flatMap(\.complaints) == [])
    }

    @Test("[refusal Q04] messages that wait in a queue are judged when they leave it")
    func queued() throws {
        let authoriser = FileAuthoriser(try RigStage.table(Self.open))
        let access = try RigStage(authoriser, seed: 3)
        let publisher = access.client("publisher")
        let slow = access.client("slow", to: 1) { $0.properties.receiveMaximum = 1 }
        let all = [publisher, slow]
        slow.acknowledges = false
        #expect(access.subscribe(slow, "#", qos: .atLeastOnce) == [.grantedQoS1])
        for number in 0..<6 {
            publisher.publish(
                number % 2 == 0 ? "open" : "closed/x", "\(number)", qos: .atLeastOnce)
        }
        access.settle(all) { publisher.sending.isEmpty && slow.received.count == 1 }
        authoriser.reload(try RigStage.table(Self.closed))
        access.pass(all, turns: 3)
        slow.acknowledges = true
        slow.sendRaw([0x40, 2, 0, 1])
        access.settle(all) { slow.received.count == 3 }
        access.pass(all)
        #expect(slow.received.map(\.payload) == ["0", "2", "4"])
        #expect(access.drops(.noSubPermission) == 3)
    }

    @Test("[refusal Q04] retained messages are judged one by one as well")
    func retained() throws {
        let authoriser = FileAuthoriser(try RigStage.table(Self.open))
        let access = try RigStage(authoriser, seed: 5)
        let publisher = access.client("publisher")
        for topic in ["open/1", "closed/1", "open/2"] {
            publisher.publish(topic, topic, qos: .atLeastOnce, retain: true)
        }
        access.settle([publisher]) { publisher.sending.isEmpty }
        authoriser.reload(try RigStage.table(Self.closed))
        for (name, expiry) in [("transient", 0), ("stored", 60)] as [(String, UInt32)] {
            let reader = access.client(name, to: 1, expiry: expiry)
            #expect(access.subscribe(reader, "#") == [.grantedQoS2])
            access.settle([reader]) { reader.received.count == 2 }
            access.pass([reader])
            #expect(Set(reader.received.map(\.payload)) == ["open/1", "open/2"])
        }
        #expect(access.drops(.noSubPermission) == 2)
    }

    @Test("a stored session that comes back is held to what its rules deny of an old filter")
    func resumed() throws {
        let rules = "deny subscribe closed/# user=held\ndefault allow\n"
        let access = try RigStage(FileAuthoriser(try RigStage.table(rules)), seed: 9)
        let publisher = access.client("publisher")
        let reader = access.client("reader", to: 1, user: "held", expiry: 60)
        let free = access.client("free", to: 2, user: "free", expiry: 60)
        for client in [reader, free] {
            #expect(access.subscribe(client, "+/x") == [.grantedQoS2])
        }
        reader.leave()
        access.settle([reader]) { reader.link == nil }
        access.connect(reader, to: 2, user: "held", expiry: 60, cleanStart: false)
        access.settle([reader]) { reader.isConnected }
        for topic in ["closed/x", "open/x"] { publisher.publish(topic, topic, qos: .atLeastOnce) }
        let all = [publisher, reader, free]
        access.settle(all) { free.received.count == 2 && !reader.received.isEmpty }
        access.pass(all)
        #expect(reader.connack?.sessionPresent == true)
        #expect(reader.received.map(\.topic) == ["open/x"])
        #expect(access.drops(.noSubPermission) == 1)
    }

    @Test("a publish is judged by the rules of its moment, a will by those of its end")
    func publishes() throws {
        let authoriser = FileAuthoriser(try RigStage.table(Self.open))
        let access = try RigStage(authoriser, seed: 13)
        let reader = access.client("reader", to: 2)
        #expect(access.subscribe(reader, "#") == [.grantedQoS2])
        let publisher = access.client("publisher", to: 1) {
            $0.will = WillMessage(
                topic: Array("closed/will".utf8), payload: [1], qos: .atLeastOnce, retain: false)
        }
        let other = access.client("other", to: 1) {
            $0.will = WillMessage(
                topic: Array("open/will".utf8), payload: [1], qos: .atLeastOnce, retain: false)
        }
        let all = [reader, publisher, other]
        publisher.publish("closed/x", "one", qos: .atLeastOnce)
        access.settle(all) { publisher.acknowledged["one"] == .success }
        authoriser.reload(try RigStage.table("deny publish closed/#\ndefault allow\n"))
        publisher.publish("closed/x", "two", qos: .atLeastOnce)
        access.settle(all) { publisher.acknowledged["two"] == .notAuthorized }
        publisher.cut()
        other.cut()
        access.settle(all) { reader.received.contains { $0.topic == "open/will" } }
        access.pass(all)
        #expect(reader.received.map(\.topic) == ["closed/x", "open/will"])
        #expect(access.drops(.noPubPermission) == 2)
        let wills = access.rig.events.filter {
            $0.event
                == .access(
                    .pubActionDisallow(
                        topic: "closed/will", qos: 1, isWill: true, isRetain: false))
        }
        #expect(wills.count == 1)
        #expect(wills.first?.subject?.clientID == "publisher")
    }
}
