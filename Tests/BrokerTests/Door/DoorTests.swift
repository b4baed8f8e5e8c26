import Base
import Broker
import MQTT
import Policy
import Simulation
import TestKit
import Testing

@Suite("The query door")
struct DoorTests {
    private func name(_ clientID: String) -> DoorSessionName {
        DoorSessionName(tenant: .standard, clientID: Array(clientID.utf8))
    }

    private func publish(
        _ topic: String, _ payload: String, qos: QoS = .atLeastOnce,
        change: (inout DoorMessage) -> Void = { _ in }
    ) -> DoorRequest {
        var message = DoorMessage(topic: Array(topic.utf8))
        message.qos = qos
        message.payload = Array(payload.utf8)
        change(&message)
        return .publish(DoorPublish(tenant: .standard, message: message))
    }

    /// A rig with connected clients: transient ones and one stored, each on another worker.
    private func serving(
        _ seed: UInt64, _ options: RigOptions = RigOptions()
    ) -> (rig: Rig, door: RigDoor, clients: [RigClient]) {
        let rig = Rig(seed: seed, options)
        let clients = ["one", "two", "stored"].map { RigClient(rig, $0) }
        clients[0].connect(to: 0)
        clients[1].connect(to: 1)
        clients[2].connect(to: 2, cleanStart: false, expirySeconds: 300)
        #expect(rig.settle(clients) { clients.allSatisfy(\.isConnected) })
        return (rig, RigDoor(rig), clients)
    }

    private func session(_ door: RigDoor, _ clientID: String) -> DoorSession? {
        guard case .session(let session) = door.ask(.session(name(clientID))) else { return nil }
        return session
    }

    private func connectionName(_ session: DoorSession) -> (DoorConnectionName, worker: Int)? {
        guard let owner = session.owner else { return nil }
        let name = DoorSessionName(tenant: .standard, clientID: session.clientID)
        return (
            DoorConnectionName(session: name, token: owner.token),
            Int(owner.place.worker.rawValue)
        )
    }

    // MARK: Publish

    @Test("a publish is answered once every receiver has it, in order, whatever the ranges do")
    func publishes() {
        var options = RigOptions()
        options.hostFaultPercent = 10
        let (rig, door, clients) = serving(1, options)
        let asked = [clients[1].subscribe(["t/+"]), clients[2].subscribe(["t/#"])]
        #expect(
            rig.settle(clients) {
                clients[1].answers[asked[0]] != nil && clients[2].answers[asked[1]] != nil
            })
        for number in 0..<10 {
            let answer = door.ask(publish("t/1", "\(number)"), while: clients)
            #expect(answer == .published(.delivered))
        }
        #expect(rig.settle(clients) { clients[2].received.count == 10 })
        #expect(clients[1].received.map(\.payload) == (0..<10).map { "\($0)" })
        #expect(clients[2].received.map(\.payload) == (0..<10).map { "\($0)" })
        #expect(rig.places.allSatisfy { $0.worker.load.trackers == 0 })
    }

    @Test("a QoS 1 publish for a stored session that is away is answered when it is stored")
    func publishToAbsent() {
        let (rig, door, clients) = serving(2)
        let asked = clients[2].subscribe(["t"])
        #expect(rig.settle(clients) { clients[2].answers[asked] != nil })
        clients[2].leave()
        #expect(rig.settle(clients) { clients[2].link == nil })
        #expect(door.ask(publish("t", "kept")) == .published(.delivered))
        #expect(session(door, "stored")?.queuedMessages == 1)
        #expect(session(door, "stored")?.isOnline == false)
    }

    @Test("nobody subscribes: the answer says so")
    func nobody() {
        let (_, door, _) = serving(3)
        #expect(door.ask(publish("nobody", "x")) == .published(.noMatchingSubscribers))
        #expect(
            door.ask(publish("nobody", "x", qos: .atMostOnce))
                == .published(.noMatchingSubscribers))
    }

    @Test(
        "what may not be published is refused, and says why",
        arguments: [
            ("", DoorRefusal.topicInvalid), ("a/+", .topicInvalid), ("a/#/b", .topicInvalid),
            ("$SYS/broker/uptime", .topicInvalid), ("a\u{0}b", .topicInvalid),
        ])
    func badTopics(topic: String, refusal: DoorRefusal) {
        let (_, door, _) = serving(4)
        #expect(door.ask(publish(topic, "x")) == .refused(refusal))
    }

    @Test("what a message may not carry is refused, and says why")
    func badMessages() {
        let (_, door, _) = serving(5)
        func refusal(_ change: (inout DoorMessage) -> Void) -> DoorAnswer? {
            door.ask(publish("t", "x", change: change))
        }
        #expect(refusal { $0.topic = [0x61, 0xFF] } == .refused(.topicInvalid))
        #expect(refusal { $0.properties.payloadFormat = 2 } == .refused(.propertyInvalid))
        #expect(refusal { $0.properties.responseTopic = [0x23] } == .refused(.propertyInvalid))
        #expect(refusal { $0.properties.responseTopic = [] } == .refused(.propertyInvalid))
        #expect(refusal { $0.properties.contentType = [0xC0] } == .refused(.propertyInvalid))
        #expect(
            refusal {
                $0.properties.userProperties = .init(
                    repeating: .init(name: [], value: []), count: 101)
            } == .refused(.propertyInvalid))
        #expect(refusal { $0.payload = .init(repeating: 0, count: 2 << 20) } == .refused(.tooLarge))
    }

    // MARK: Retained

    @Test(
        "retained messages are listed page by page, shown with everything they carry, cleared once")
    func retained() {
        let (_, door, _) = serving(6)
        for number in 0..<25 {
            let request = publish("r/\(number)", "payload \(number)") {
                $0.retain = true
                $0.expirySeconds = 3_600
                $0.properties.contentType = Array("text/plain".utf8)
                $0.properties.userProperties = [.init(name: [0x61], value: [0x62])]
            }
            #expect(door.ask(request) == .published(.noMatchingSubscribers))
        }
        var list = DoorList(tenant: .standard)
        list.pattern = Array("r/+".utf8)
        list.limit = 4
        var topics: Set<[UInt8]> = []
        var count = 0
        for _ in 0..<100 {
            guard case .retainedPage(let page) = door.ask(.retainedList(list)) else { break }
            topics.formUnion(page.items.map(\.topic))
            count += page.items.count
            #expect(page.items.count <= 4)
            list.cursor = page.cursor
            if page.cursor.isEmpty { break }
        }
        #expect(count == 25)
        #expect(topics.count == 25)
        let topic = Array("r/7".utf8)
        guard
            case .message(let message, let expiresAt) = door.ask(
                .retainedShow(.standard, topic: topic))
        else {
            Issue.record("r/7 is not retained")
            return
        }
        #expect(String(decoding: message.payload, as: UTF8.self) == "payload 7")
        #expect(message.properties.contentType == Array("text/plain".utf8))
        #expect(message.properties.userProperties == [.init(name: [0x61], value: [0x62])])
        #expect(expiresAt > message.publishedAt)
        #expect(door.ask(.retainedClear(.standard, topic: topic)) == .done)
        #expect(door.ask(.retainedClear(.standard, topic: topic)) == .refused(.notFound))
        #expect(door.ask(.retainedShow(.standard, topic: topic)) == .refused(.notFound))
    }

    @Test("another tenant's retained message is not found")
    func otherTenant() {
        let (_, door, _) = serving(7)
        let request = publish("r", "x") { $0.retain = true }
        #expect(door.ask(request) == .published(.noMatchingSubscribers))
        guard let other = TenantName("other") else { return }
        let topic = Array("r".utf8)
        #expect(door.ask(.retainedShow(other, topic: topic)) == .refused(.notFound))
        #expect(door.ask(.retainedClear(other, topic: topic)) == .refused(.notFound))
        #expect(
            door.ask(.retainedShow(.standard, topic: Array("+".utf8))) == .refused(.topicInvalid))
    }

    // MARK: Sessions

    @Test(
        "stored and transient sessions are listed once each, by prefix and presence, page by page")
    func listsSessions() {
        let (rig, door, clients) = serving(8)
        let more = (0..<12).map { RigClient(rig, "extra-\($0)") }
        for (index, client) in more.enumerated() {
            let isStored = index % 2 == 0
            client.connect(to: index % 3, cleanStart: !isStored, expirySeconds: isStored ? 300 : 0)
        }
        #expect(rig.settle(clients + more) { more.allSatisfy(\.isConnected) })
        more[0].leave()
        #expect(rig.settle(clients + more) { more[0].link == nil })
        func names(_ change: (inout DoorList) -> Void) -> [String] {
            var list = DoorList(tenant: .standard)
            list.limit = 2
            change(&list)
            return door.sessions(list, workers: 3).map {
                String(decoding: $0.clientID, as: UTF8.self)
            }
            .sorted()
        }
        #expect(
            names { _ in } == (["one", "two", "stored"] + (0..<12).map { "extra-\($0)" }).sorted())
        #expect(
            names { $0.pattern = Array("extra-1".utf8) } == ["extra-1", "extra-10", "extra-11"])
        #expect(names { $0.presence = .offline } == ["extra-0"])
        #expect(names { $0.presence = .online }.count == 14)
        #expect(names { $0.tenant = TenantName("other") ?? .standard } == [])
    }

    @Test("a session is shown with its connection, and who is not there is not found")
    func showsSession() {
        let (_, door, clients) = serving(9)
        for (worker, clientID) in ["one", "two", "stored"].enumerated() {
            guard let session = session(door, clientID), let (name, place) = connectionName(session)
            else {
                Issue.record("\(clientID) is not found")
                continue
            }
            #expect(session.isOnline)
            #expect(session.isStored == (clientID == "stored"))
            #expect(place == worker)
            guard case .connection(let connection) = door.ask(.connection(name), worker: place)
            else {
                Issue.record("no connection of \(clientID)")
                continue
            }
            #expect(connection.version == .v5)
            #expect(connection.peer.hasPrefix("127.0.0.1:"))
            #expect(connection.connectedAt >= 1_700_000_000_000)
            // Elsewhere it is not.
            #expect(door.ask(.connection(name), worker: (place + 1) % 3) == .refused(.moved))
        }
        #expect(door.ask(.session(name("nobody"))) == .refused(.notFound))
        #expect(clients.filter(\.isConnected).count == 3)
    }

    @Test(
        """
        [refusal D06] a disconnected client hears 0x98; its stored session stays, the \
        transient one is gone
        """
    )
    func disconnects() {
        let (rig, door, clients) = serving(10)
        for client in [clients[0], clients[2]] {
            guard let session = session(door, client.clientID),
                let (name, place) = connectionName(session)
            else { return }
            #expect(door.ask(.disconnect(name), worker: place) == .done)
            #expect(rig.settle(clients) { client.link == nil })
            #expect(client.disconnect?.reasonCode == .administrativeAction)
            #expect(rig.settle(clients) { self.session(door, client.clientID)?.isOnline != true })
            #expect(door.ask(.disconnect(name), worker: place) == .refused(.moved))
        }
        #expect(session(door, "one") == nil)
        #expect(session(door, "stored")?.isStored == true)
    }

    @Test("a terminated session is gone, stored or not, connected or not")
    func terminates() {
        let (rig, door, clients) = serving(11)
        for client in [clients[0], clients[2]] {
            #expect(door.ask(.terminate(name(client.clientID), publishesWill: false)) == .done)
            #expect(rig.settle(clients) { client.link == nil })
            #expect(rig.settle(clients) { self.session(door, client.clientID) == nil })
            #expect(
                door.ask(.terminate(name(client.clientID), publishesWill: false))
                    == .refused(.notFound))
        }
    }

    // MARK: Subscriptions on behalf

    @Test("a subscription on behalf delivers, is shown, and ends, whatever the session")
    func subscribesOnBehalf() {
        let (rig, door, clients) = serving(12)
        let options = SubscriptionOptions(rawValue: 1)
        for client in [clients[0], clients[2]] {
            guard let session = session(door, client.clientID),
                let (name, place) = connectionName(session)
            else { return }
            let wanted = DoorSubscription(
                filter: Array("on/behalf/#".utf8), options: options, subscriptionID: 5)
            func subscribe() -> DoorAnswer? {
                session.isStored
                    ? door.ask(.subscribe(name.session, wanted))
                    : door.ask(.subscribeConnection(name, wanted), worker: place)
            }
            #expect(subscribe() == .subscribed(maximumQoS: .atLeastOnce, isNew: true))
            #expect(subscribe() == .subscribed(maximumQoS: .atLeastOnce, isNew: false))
            let shown =
                session.isStored
                ? door.ask(.subscriptions(name.session, skip: 0))
                : door.ask(.connectionSubscriptions(name, skip: 0), worker: place)
            #expect(shown == .subscriptionPage([wanted], hasMore: false))
            #expect(door.ask(publish("on/behalf/1", "x"), while: clients) == .published(.delivered))
            #expect(rig.settle(clients) { client.received.last?.payload == "x" })
            #expect(client.received.last?.subscriptionIDs == [5])
            func unsubscribe() -> DoorAnswer? {
                session.isStored
                    ? door.ask(.unsubscribe(name.session, filter: wanted.filter))
                    : door.ask(.unsubscribeConnection(name, filter: wanted.filter), worker: place)
            }
            #expect(unsubscribe() == .done)
            #expect(unsubscribe() == .refused(.notFound))
            // The route goes a moment later; a message on it reaches nobody.
            #expect(
                rig.settle(clients) {
                    door.ask(publish("on/behalf/1", "y")) == .published(.noMatchingSubscribers)
                })
            #expect(client.received.last?.payload == "x")
        }
        #expect(clients.flatMap(\.complaints) == [])
    }

    @Test("a stored session that is away is subscribed, and finds what came meanwhile")
    func subscribesAbsent() {
        let (rig, door, clients) = serving(13)
        clients[2].leave()
        #expect(rig.settle(clients) { clients[2].link == nil })
        let wanted = DoorSubscription(
            filter: Array("away".utf8), options: SubscriptionOptions(rawValue: 2))
        #expect(
            door.ask(.subscribe(name("stored"), wanted))
                == .subscribed(maximumQoS: .exactlyOnce, isNew: true))
        #expect(door.ask(publish("away", "kept")) == .published(.delivered))
        clients[2].connect(to: 0, cleanStart: false, expirySeconds: 300)
        #expect(rig.settle(clients) { clients[2].received.map(\.payload) == ["kept"] })
        #expect(door.ask(.subscribe(name("nobody"), wanted)) == .refused(.notFound))
    }

    @Test(
        "a filter that is none is refused",
        arguments: ["", "a/#/b", "a+", "$share/g", "$share/+/a", "a\u{0}"])
    func badFilters(filter: String) {
        let (_, door, _) = serving(14)
        let wanted = DoorSubscription(
            filter: Array(filter.utf8), options: SubscriptionOptions(rawValue: 0))
        #expect(door.ask(.subscribe(name("stored"), wanted)) == .refused(.filterInvalid))
    }

    // MARK: Figures

    @Test("figures tell what is there, health that all ranges are led")
    func figures() {
        let (_, door, clients) = serving(15)
        var connected: UInt64 = 0
        var stored: UInt64 = 0
        for worker in 0..<3 {
            guard case .figures(let figures) = door.ask(.figures, worker: worker) else { continue }
            connected += figures[.sessionsLive]
            stored += figures[.storedSessions]
            #expect(figures[.rangesLed] > 0)
            #expect(figures[.rangesWithoutLeader] == 0)
            #expect(figures.tenants.map(\.name) == ["default"])
            #expect(figures.tenants.first?.events[EventKind.clientConnected.rawValue] == 1)
            guard case .health(let health) = door.ask(.health, worker: worker) else { continue }
            #expect(health == WorkerHealth(worker: WorkerIndex(UInt16(worker))))
        }
        #expect(connected == UInt64(clients.count))
        #expect(stored == 1)
    }

    @Test("a letter that makes no sense is answered or counted, never obeyed")
    func nonsense() {
        let (rig, door, _) = serving(16)
        let worker = rig.places[0].worker
        for bytes: [UInt8] in [[9, 9, 9], [1], [2] + Array(repeating: 0, count: 20)] {
            bytes.withUnsafeBytes { worker.receiveOutside($0) }
        }
        #expect(worker.metrics.damagedFrames == 3)
        let unknown: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 99, 200]
        unknown.withUnsafeBytes { worker.receiveOutside($0) }
        #expect(door.answers(99) == [.refused(.malformed)])
    }
}
