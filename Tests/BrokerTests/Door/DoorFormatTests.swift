import Base
import Broker
import MQTT
import Policy
import TestKit
import Testing

@Suite("Requests and answers of the query door as bytes")
struct DoorFormatTests {
    private static let session = DoorSessionName(
        tenant: .standard, clientID: Array("anna".utf8))
    private static let connection = DoorConnectionName(session: session, token: 0x1234_5678_9ABC)

    static var message: DoorMessage {
        var message = DoorMessage(topic: Array("a/b".utf8))
        message.qos = .exactlyOnce
        message.retain = true
        message.expirySeconds = 60
        message.publishedAt = 1_700_000_000_000
        message.publisher = Array("api".utf8)
        message.properties.payloadFormat = 1
        message.properties.contentType = Array("text/plain".utf8)
        message.properties.responseTopic = Array("answers".utf8)
        message.properties.correlationData = [0, 255]
        message.properties.userProperties = [
            .init(name: Array("a".utf8), value: []), .init(name: Array("a".utf8), value: [0x62]),
        ]
        message.payload = Array("hello".utf8)
        return message
    }

    private static var list: DoorList {
        var list = DoorList(tenant: .standard)
        list.pattern = Array("sensor-".utf8)
        list.presence = .offline
        list.cursor = [1, 2, 3]
        list.limit = 17
        return list
    }

    static var requests: [DoorRequest] {
        let subscription = DoorSubscription(
            filter: Array("a/#".utf8), options: SubscriptionOptions(rawValue: 0x2E),
            subscriptionID: 9)
        return [
            .publish(DoorPublish(tenant: .standard, message: message)), .retainedList(list),
            .retainedShow(.standard, topic: [0x61]), .retainedClear(.standard, topic: [0x61]),
            .storedSessions(list), .connectedSessions(list), .session(session),
            .connection(connection), .subscriptions(session, skip: 3),
            .connectionSubscriptions(connection, skip: 0), .disconnect(connection),
            .terminate(session, publishesWill: true), .subscribe(session, subscription),
            .unsubscribe(session, filter: [0x61]),
            .subscribeConnection(connection, subscription),
            .unsubscribeConnection(connection, filter: [0x61]), .figures, .health,
        ]
    }

    static var answers: [DoorAnswer] {
        var known = DoorSession(clientID: Array("anna".utf8))
        known.user = Array("user".utf8)
        known.isStored = true
        known.isOnline = true
        known.owner = .init(
            place: Place(node: NodeID(1), worker: WorkerIndex(3)), token: 77)
        known.expirySeconds = 5
        known.expiresAt = 6
        known.hasWill = true
        known.subscriptionCount = 7
        known.queuedMessages = 8
        known.queuedBytes = 9
        var connected = DoorConnection()
        connected.peer = "127.0.0.1:9"
        connected.listener = "tcp"
        connected.version = .v311
        connected.isWebSocket = true
        connected.keepAlive = 60
        connected.connectedAt = 1_700_000_000_000
        connected.inFlight = 1
        connected.receiveMaximum = 65_535
        var figures = WorkerFigures(worker: WorkerIndex(1))
        figures[.publishesIn] = 5
        var tenant = WorkerFigures.Tenant(name: "default")
        tenant.events = [1: 2, 3: 4]
        tenant.drops = [5: 6]
        figures.tenants = [tenant]
        var health = WorkerHealth(worker: WorkerIndex(0))
        health.isDraining = true
        health.isLate = true
        health.leaderless = ["dist range 3"]
        return [
            .refused(.notFound), .done, .published(.delivered),
            .published(.noMatchingSubscribers), .published(.refused(.quotaExceeded)),
            .retainedPage(
                DoorRetainedPage(
                    items: [.init(topic: [0x61], byteCount: 5, expiresAt: 0)], cursor: [1])),
            .message(message, expiresAt: 8),
            .sessionPage(DoorSessionPage(sessions: [known], cursor: [0])), .session(known),
            .connection(connected),
            .subscriptionPage(
                [
                    DoorSubscription(
                        filter: [0x61], options: SubscriptionOptions(rawValue: 1))
                ], hasMore: true),
            .subscribed(maximumQoS: .atLeastOnce, isNew: true), .figures(figures),
            .health(health),
        ]
    }

    @Test("every request comes back from its letter as it was", arguments: requests)
    func request(request: DoorRequest) {
        let letter = request.letter(ticket: 42)
        let read = letter.withRawSpan {
            DoorRequest.decode(letter: $0).map { ($0.ticket, $0.request) }
        }
        #expect(read?.0 == 42)
        #expect(read?.1 == request)
    }

    @Test("every answer comes back from its bytes as it was", arguments: answers)
    func answer(answer: DoorAnswer) {
        #expect(DoorAnswer.decode(answer.encoded) == answer)
    }

    @Test("a letter that is cut or has more behind it asks nothing", arguments: requests)
    func cutRequest(request: DoorRequest) {
        let letter = request.letter(ticket: 1)
        for count in 9..<letter.count {
            let read = Array(letter[..<count]).withRawSpan {
                DoorRequest.decode(letter: $0)?.request
            }
            #expect(read == nil, "\(count) of \(letter.count) bytes")
        }
        let longer = (letter + [0]).withRawSpan { DoorRequest.decode(letter: $0)?.request }
        #expect(longer == nil)
    }

    @Test("an answer that is cut is none", arguments: answers)
    func cutAnswer(answer: DoorAnswer) {
        let bytes = answer.encoded
        for count in 0..<bytes.count {
            #expect(DoorAnswer.decode(Array(bytes[..<count])) == nil)
        }
    }

    @Test(
        "changed bytes are read as something or nothing, never trapped on",
        arguments: Seed.series(8))
    func mutations(seed: Seed) {
        var random = SeededRandom(seed: seed.value)
        for request in Self.requests {
            for _ in 0..<50 {
                var letter = request.letter(ticket: 1)
                letter[random.below(letter.count)] = UInt8(random.below(256))
                _ = letter.withRawSpan { DoorRequest.decode(letter: $0)?.ticket }
            }
        }
        for answer in Self.answers {
            for _ in 0..<50 {
                var bytes = answer.encoded
                bytes[random.below(bytes.count)] = UInt8(random.below(256))
                _ = DoorAnswer.decode(bytes)
            }
        }
    }

    @Test("each figure has one row, and no two have one name")
    func figureTable() {
        #expect(
            FigureTable.rows.map(\.figure).sorted { $0.rawValue < $1.rawValue } == Figure.allCases)
        let metrics = FigureTable.rows.filter { $0.kind != .memory }
        #expect(Set(metrics.map(\.name)).count == metrics.count)
        let owners = FigureTable.memoryRows
        #expect(Set(owners.map(\.name)).count == owners.count)
        #expect(owners.allSatisfy { $0.kind == .memory })
        #expect(metrics.count + owners.count == FigureTable.rows.count)
    }
}
