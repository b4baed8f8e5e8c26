import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// An authoriser that is asked for every single action.
@Suite("An authoriser that is asked")
struct AskedTests {
    private typealias Script = ScriptedAuthoriser

    /// What is asked about a topic or filter that begins with `slow/` is answered later, and so on;
    /// everything else is allowed at once.
    private static let byName: @Sendable (AccessAction) -> ScriptedAuthoriser.Answer = { action in
        let name =
            switch action {
            case .connect: ""
            case .publish(let topic, _, _), .receive(let topic, _): topic
            case .subscribe(let filter, _), .unsubscribe(let filter): filter
            }
        switch name.split(separator: "/").first {
        case "slow": return .later(Script.free)
        case "slowly-denied": return .later(Script.no)
        case "denied": return .now(Script.no)
        case "failing": return .later(Script.failed)
        case "silent": return .never
        default: return .now(Script.free)
        }
    }

    @Test("a packet that waits holds back what follows, and nothing is lost or twice")
    func order() throws {
        let authoriser = Script(Self.byName)
        let access = try RigStage(authoriser, seed: 21, settings: ["MsgPubPerSec": "100"])
        let reader = access.client("reader", to: 1)
        let publisher = access.client("publisher")
        let all = [reader, publisher]
        #expect(access.subscribe(reader, "#") == [.grantedQoS2])
        for number in 0..<10 {
            publisher.publish(number % 3 == 0 ? "slow/a" : "a", "\(number)", qos: .exactlyOnce)
        }
        access.pass(all)
        #expect(reader.received.isEmpty && authoriser.waitingCount == 1)
        access.settle(all) {
            authoriser.answer()
            return publisher.sending.isEmpty && reader.received.count == 10
        }
        for topic in ["slow/a", "a"] {
            let got = reader.received.filter { $0.topic == topic }.compactMap { Int($0.payload) }
            #expect(got == (0..<10).filter { ($0 % 3 == 0) == (topic == "slow/a") })
        }
        #expect(authoriser.asked.count { if case .publish = $0 { true } else { false } } == 10)
        #expect(access.rig.places.reduce(0) { $0 + $1.worker.metrics.publishesIn } == 10)
        #expect(all.flatMap(\.complaints) == [])
    }

    @Test(
        "[refusal P01, P02] a PUBLISH that the authoriser denies, fails on or never answers",
        arguments: [
            ("slowly-denied/a", ReasonCode.notAuthorized), ("denied/a", .notAuthorized),
            ("failing/a", .implementationSpecificError),
            ("silent/a", .implementationSpecificError),
        ])
    func publishes(topic: String, code: ReasonCode) throws {
        let authoriser = Script(Self.byName)
        let access = try RigStage(authoriser, seed: 22)
        let reader = access.client("reader", to: 1)
        #expect(access.subscribe(reader, "#") == [.grantedQoS2])
        let patient = access.client("patient")
        let all = [reader, patient]
        for (payload, qos) in [("one", QoS.atLeastOnce), ("two", .exactlyOnce)] {
            patient.publish(topic, payload, qos: qos)
            access.settle(all) {
                authoriser.answer()
                return patient.acknowledged[payload] != nil
            }
            #expect(patient.acknowledged[payload] == code)
        }
        #expect(patient.isConnected)
        patient.publish(topic, "three")
        access.settle(all) {
            authoriser.answer()
            return patient.link == nil
        }
        #expect(patient.disconnect?.reasonCode == code)
        let older = access.client("older", version: .v311)
        older.publish(topic, "four", qos: .atLeastOnce)
        access.settle(all + [older]) {
            authoriser.answer()
            return older.link == nil
        }
        #expect(older.sending.count == 1)
        #expect(reader.received.isEmpty)
        #expect(access.drops(.noPubPermission) == 4)
        let kind: EventKind = code == .notAuthorized ? .pubActionDisallow : .accessControlError
        #expect(access.count(kind) == 4)
    }

    @Test("[refusal S03, S04] filters are asked one by one and answered in any order")
    func subscribes() throws {
        let authoriser = Script(Self.byName)
        let access = try RigStage(authoriser, seed: 23)
        let filters = [
            "slow/a", "slowly-denied/#", "failing/+", "a", "$share/g/denied/a", "silent/a",
        ]
        for version in [ProtocolVersion.v5, .v311] {
            let client = access.client("client-\(version)", version: version)
            let packetID = client.subscribe(filters)
            access.settle([client]) {
                authoriser.answer(backwards: true)
                return client.answers[packetID] != nil
            }
            let denied: ReasonCode = version == .v5 ? .notAuthorized : .unspecifiedError
            let failed: ReasonCode =
                version == .v5 ? .implementationSpecificError : .unspecifiedError
            #expect(
                client.answers[packetID]
                    == [.grantedQoS2, denied, failed, .grantedQoS2, denied, failed])
        }
        #expect(access.count(.subActionDisallow) == 4)
        #expect(access.count(.accessControlError) == 4)
        #expect(authoriser.asked.contains(.subscribe(filter: "denied/a", qos: 2)))
    }

    @Test("[refusal U01, U02] an UNSUBSCRIBE that the authoriser denies or fails on")
    func unsubscribes() throws {
        let authoriser = Script { _ in .now(Script.free) }
        let access = try RigStage(authoriser, seed: 24)
        let client = access.client("client")
        let older = access.client("older", version: .v311)
        let all = [client, older]
        for client in all {
            #expect(access.subscribe(client, "denied", "silent").allSatisfy { !$0.isFailure })
        }
        authoriser.change(Self.byName)
        let packetID = client.unsubscribe(["denied", "silent", "none"])
        access.settle(all) { client.answers[packetID] != nil }
        #expect(
            client.answers[packetID]
                == [.notAuthorized, .implementationSpecificError, .noSubscriptionExisted])
        _ = older.unsubscribe(["denied"])
        access.settle(all) { older.link == nil }
        #expect(access.count(.unsubActionDisallow) == 2)
        // The subscription stands.
        let publisher = access.client("publisher")
        publisher.publish("silent", "x")
        authoriser.change { _ in .now(Script.free) }
        publisher.publish("silent", "y")
        access.settle([client, publisher]) { !client.received.isEmpty }
    }

    @Test("[refusal C12, C14] whether a client may connect is asked as well")
    func connects() throws {
        for (answer, code, older)
            in [
                (.later(Script.free), .success, .success),
                (.later(Script.no), .notAuthorized, .notAuthorized),
                (.now(Script.no), .notAuthorized, .notAuthorized),
                (.later(Script.failed), .serverUnavailable, .serverUnavailable),
                (.never, .serverUnavailable, .serverUnavailable),
            ] as [(Script.Answer, ReasonCode, ReasonCode)]
        {
            let authoriser = Script { _ in answer }
            let access = try RigStage(authoriser, seed: 25)
            let clients = [
                RigClient(access.rig, "newer"), RigClient(access.rig, "older", version: .v311),
            ]
            for client in clients { access.connect(client) }
            access.settle(clients) {
                authoriser.answer()
                return clients.allSatisfy { $0.connack != nil }
            }
            #expect(clients.map(\.connack?.reasonCode) == [code, older])
        }
    }

    @Test("[setting ByPassPermCheckError] errors count as consent where the tenant wants it")
    func consent() throws {
        let authoriser = Script(Self.byName)
        let access = try RigStage(
            authoriser, seed: 26, settings: ["ByPassPermCheckError": "true"])
        let reader = access.client("reader", to: 1)
        let publisher = access.client("publisher")
        #expect(access.subscribe(reader, "silent/#", "denied/a") == [.grantedQoS2, .notAuthorized])
        publisher.publish("silent/a", "x", qos: .atLeastOnce)
        publisher.publish("denied/a", "y", qos: .atLeastOnce)
        access.settle([reader, publisher]) { publisher.sending.isEmpty }
        #expect(publisher.acknowledged == ["x": .success, "y": .notAuthorized])
        access.settle([reader]) { reader.received.map(\.payload) == ["x"] }
        #expect(access.count(.accessControlError) == 2)
    }

    @Test("a connection that goes while its packet waits leaves nothing, and a late answer nothing")
    func gone() throws {
        let authoriser = Script(Self.byName)
        let access = try RigStage(authoriser, seed: 27)
        let client = access.client("client")
        client.publish("slow/a", "x", qos: .atLeastOnce)
        access.settle([client]) { authoriser.waitingCount == 1 }
        client.cut()
        access.pass([client])
        let again = access.client("client", cleanStart: false)
        authoriser.answer()
        access.pass([again])
        #expect(again.isConnected && again.received.isEmpty)
        #expect(access.drops(.noPubPermission) == 0)
    }

    @Test("after a change live clients are asked about anew; an error alone ends no connection")
    func changed() throws {
        let authoriser = Script { _ in .now(Script.free) }
        let access = try RigStage(authoriser, seed: 28)
        let client = access.client("client")
        authoriser.change { _ in .later(Script.failed) }
        access.settle([client]) {
            authoriser.answer()
            return authoriser.asked.count == 2
        }
        access.pass([client])
        #expect(client.isConnected)
        authoriser.change { _ in .later(Script.no) }
        access.settle([client]) {
            authoriser.answer()
            return client.link == nil
        }
        #expect(client.disconnect?.reasonCode == .notAuthorized)
    }

    @Test("deliveries of a filter that wants to be checked are asked, and not waited for")
    func deliveries() throws {
        let partly = AccessVerdict.allowed(needsDeliveryCheck: true)
        let authoriser = Script { action in
            switch action {
            case .subscribe: .now(partly)
            case .receive(let topic, _):
                topic == "silent" ? .never : .now(topic == "a" ? Script.free : Script.no)
            case .connect, .publish, .unsubscribe: .now(Script.free)
            }
        }
        let access = try RigStage(authoriser, seed: 29)
        let reader = access.client("reader", to: 1)
        let publisher = access.client("publisher")
        #expect(access.subscribe(reader, "#") == [.grantedQoS2])
        for topic in ["b", "silent", "a"] { publisher.publish(topic, topic, qos: .atLeastOnce) }
        access.settle([reader, publisher]) { publisher.sending.isEmpty && !reader.received.isEmpty }
        #expect(reader.received.map(\.payload) == ["a"])
        #expect(access.drops(.noSubPermission) == 2)
    }
}
