import Base
import EventLoops
import Glibc
import MQTT

/// The whole way through a worker: bytes in, machine, plan, delivery, bytes out.
enum WorkerScenarios {
    static let all: [Scenario] = [
        Scenario(
            name: "worker-qos0-311",
            what: "QoS 0 from one client to one other, 20 to a read; topic 33, payload 64",
            make: { pair(.v311, .atMostOnce) }),
        Scenario(name: "worker-qos0", what: "the same in 5.0", make: { pair(.v5, .atMostOnce) }),
        Scenario(
            name: "worker-qos0-single", what: "the same, one to a read", count: 4_000,
            make: { pair(.v5, .atMostOnce, batch: 1) }),
        Scenario(
            name: "worker-qos1", what: "QoS 1, acknowledged by both sides, 20 to a read",
            make: { pair(.v5, .atLeastOnce) }),
        Scenario(
            name: "worker-qos2", what: "QoS 2, all eight packets, 20 to a read", count: 4_000,
            make: { pair(.v5, .exactlyOnce) }),
        Scenario(
            name: "worker-qos0-across", what: "QoS 0 to a client of another worker",
            make: { pair(.v5, .atMostOnce, workers: 2) }),
        Scenario(
            name: "worker-qos1-across", what: "QoS 1 to a client of another worker",
            make: { pair(.v5, .atLeastOnce, workers: 2) }),
        Scenario(
            name: "worker-qos1-stored", what: "QoS 1 to a stored session that is online",
            count: 2_000, make: { pair(.v5, .atLeastOnce, expirySeconds: 3_600) }),
        Scenario(
            name: "worker-shared-qos1", what: "QoS 1 to one of ten members of a shared group",
            count: 4_000, make: { shared() }),
        Scenario(
            name: "worker-fan-out-100", what: "QoS 0 to 100 clients: one delivery", count: 20_000,
            make: { fanOut(.atMostOnce) }),
        Scenario(name: "worker-unmatched", what: "QoS 0 to nobody", make: { unmatched() }),
        Scenario(
            name: "worker-unique-1k",
            what: "QoS 0, every topic for the first time, 1,000 filters", count: 2_000,
            make: { unique(filters: 1_000) }),
        Scenario(
            name: "worker-unique-100k", what: "the same with 100,000 filters", count: 2_000,
            isHeavy: true,
            make: { unique(filters: 100_000) }),
        Scenario(
            name: "worker-subscribe", what: "SUBSCRIBE and UNSUBSCRIBE of one filter, answered",
            count: 500, make: { subscribe() }),
        Scenario(
            name: "worker-connect", what: "connection, CONNECT, DISCONNECT, end", count: 200,
            make: { connect() }),
        Scenario(name: "worker-ping", what: "PINGREQ answered, 20 to a read", make: { ping() }),
    ]

    static let topic = String(decoding: CodecScenarios.topic, as: UTF8.self)

    /// Publishes as they stand in one read, with packet ids from 1.
    static func publishes(
        _ count: Int, _ version: ProtocolVersion, _ qos: QoS, topic: [UInt8] = CodecScenarios.topic
    ) -> [UInt8] {
        var writer = ByteWriter()
        for index in 1...count {
            PublishEncoding.encode(
                PublishFields(
                    version: version, qos: qos, dup: false, retain: false,
                    packetID: qos == .atMostOnce ? 0 : UInt16(index), topicAlias: 0,
                    messageExpiry: nil),
                topic: topic, forwarded: [], subscriptionIDs: [],
                payload: CodecScenarios.payload, into: &writer)
        }
        return writer.array
    }

    /// Acknowledgements with packet ids from 1.
    private static func acknowledgements(_ count: Int, _ type: PacketType) -> [UInt8] {
        var writer = ByteWriter()
        for index in 1...count {
            AckEncoding.write(
                type, .v5, packetID: UInt16(index), reasonCode: .success, into: &writer)
        }
        return writer.array
    }

    /// Answers to the publishes in `bytes`, which all have the same size.
    private static func answer(
        _ bytes: UnsafeRawBufferPointer, _ type: PacketType, _ count: Int, _ place: AnswerPlace
    ) -> UnsafeRawBufferPointer {
        let size = bytes.count / count
        for index in 0..<count {
            // Two bytes of header, the topic with its length, the packet id; or an acknowledgement.
            let offset = index * size + (size == 4 ? 2 : 4 + CodecScenarios.topic.count)
            let packetID = bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
            _ = AckEncoding.write(
                type, .v5, packetID: UInt16(bigEndian: packetID), reasonCode: .success,
                to: place.base + index * 4)
        }
        return UnsafeRawBufferPointer(start: place.base, count: count * 4)
    }

    private final class AnswerPlace {
        let base = UnsafeMutableRawPointer.allocate(byteCount: 4_096, alignment: 16)
        deinit { base.deallocate() }
    }

    private static func pair(
        _ version: ProtocolVersion, _ qos: QoS, batch: Int = 20, workers: Int = 1,
        expirySeconds: UInt32 = 0
    ) -> (Int) -> UInt64 {
        let stage = WorkerStage(workers: workers)
        let publisher = stage.client(version)
        let subscriber = stage.client(
            on: workers - 1, version, expirySeconds: expirySeconds)
        subscriber.subscribe([topic], qos: qos)
        let exchange = Exchange(
            publisher, subscriber, publishes(batch, version, qos), batch: batch, qos)
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<(count / batch) { sum &+= exchange.run() }
            withExtendedLifetime(stage) {}
            return sum
        }
    }

    /// One batch of publishes with everything that its QoS asks for.
    private struct Exchange {
        let publisher: StageClient
        let subscriber: StageClient
        let block: [UInt8]
        let batch: Int
        let qos: QoS
        let place = AnswerPlace()
        let pubrels: [UInt8]

        init(
            _ publisher: StageClient, _ subscriber: StageClient, _ block: [UInt8], batch: Int,
            _ qos: QoS
        ) {
            self.publisher = publisher
            self.subscriber = subscriber
            self.block = block
            self.batch = batch
            self.qos = qos
            pubrels = acknowledgements(batch, .pubrel)
        }

        func run() -> UInt64 {
            publisher.send(block)
            let delivered = subscriber.receive(block.count)
            switch qos {
            case .atMostOnce: break
            case .atLeastOnce:
                subscriber.send(answer(delivered, .puback, batch, place))
                publisher.receive(batch * 4)
            case .exactlyOnce:
                subscriber.send(answer(delivered, .pubrec, batch, place))
                publisher.receive(batch * 4)
                publisher.send(pubrels)
                let released = subscriber.receive(batch * 4)
                subscriber.send(answer(released, .pubcomp, batch, place))
                publisher.receive(batch * 4)
            }
            return UInt64(delivered[delivered.count - 1])
        }
    }

    private static func shared() -> (Int) -> UInt64 {
        let stage = WorkerStage(workers: 1)
        let publisher = stage.client()
        let members = (0..<10).map { _ in stage.client() }
        for member in members { member.subscribe(["$share/group/" + topic], qos: .atLeastOnce) }
        // Twenty messages are two for each, in turns.
        let block = publishes(20, .v5, .atLeastOnce)
        let place = AnswerPlace()
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<(count / 20) {
                publisher.send(block)
                for member in members {
                    let delivered = member.receive(block.count / 10)
                    member.send(answer(delivered, .puback, 2, place))
                    sum &+= UInt64(delivered[delivered.count - 1])
                }
                publisher.receive(80)
            }
            withExtendedLifetime(stage) {}
            return sum
        }
    }

    private static func fanOut(_ qos: QoS) -> (Int) -> UInt64 {
        let stage = WorkerStage(workers: 1)
        let publisher = stage.client()
        let subscribers = (0..<100).map { _ in stage.client() }
        for subscriber in subscribers { subscriber.subscribe([topic], qos: qos) }
        let block = publishes(20, .v5, qos)
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<(count / 2_000) {
                publisher.send(block)
                for subscriber in subscribers {
                    sum &+= UInt64(subscriber.receive(block.count)[0])
                }
            }
            withExtendedLifetime(stage) {}
            return sum
        }
    }

    private static func unmatched() -> (Int) -> UInt64 {
        let stage = WorkerStage(workers: 1)
        let publisher = stage.client()
        let block = publishes(20, .v5, .atMostOnce) + [0xC0, 0x00]
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<(count / 20) {
                publisher.send(block)
                // The answer to a PINGREQ behind them says that they were handled.
                sum &+= UInt64(publisher.receive(2)[0])
            }
            withExtendedLifetime(stage) {}
            return sum
        }
    }

    private static func unique(filters: Int) -> (Int) -> UInt64 {
        let stage = WorkerStage(
            workers: 1, settings: ["MaxTopicFiltersPerInbox": "\(filters)"])
        let publisher = stage.client()
        let subscriber = stage.client()
        let other = stage.client()
        for start in stride(from: 0, to: filters, by: 100) {
            other.subscribe((start..<start + 100).map { "site/\($0 / 1_000)/+/\($0)/state" })
        }
        subscriber.subscribe(["site/+/line/#"])
        let name = Array("site/17/line/000000000000000/state".utf8)
        let digits = 2 + 2 + 13
        var block = publishes(20, .v5, .atMostOnce, topic: name)
        let size = block.count / 20
        var next = 0
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<(count / 20) {
                for index in 0..<20 {
                    next += 1
                    var rest = next
                    for position in 0..<15 {
                        block[index * size + digits + 14 - position] = UInt8(0x30 + rest % 10)
                        rest /= 10
                    }
                }
                publisher.send(block)
                sum &+= UInt64(subscriber.receive(block.count)[0])
            }
            withExtendedLifetime(stage) {}
            return sum
        }
    }

    private static func subscribe() -> (Int) -> UInt64 {
        let stage = WorkerStage(workers: 1)
        let client = stage.client()
        var writer = ByteWriter()
        let options = SubscriptionOptions(
            maximumQoS: .atLeastOnce, noLocal: false, retainAsPublished: false,
            retainHandling: .send)
        SubscribeRequest(
            packetID: 1,
            entries: [SubscribeRequest.Entry(filter: Array("a/+/c".utf8), options: options)]
        ).encode(.v5, into: &writer)
        let subscribe = writer.array
        writer.removeAll()
        UnsubscribeRequest(packetID: 2, filters: [Array("a/+/c".utf8)]).encode(.v5, into: &writer)
        let unsubscribe = writer.array
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<count {
                client.send(subscribe)
                sum &+= UInt64(client.receive(6)[0])
                client.send(unsubscribe)
                sum &+= UInt64(client.receive(6)[0])
            }
            withExtendedLifetime(stage) {}
            return sum
        }
    }

    private static func connect() -> (Int) -> UInt64 {
        let stage = WorkerStage(workers: 1)
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<count {
                let client = stage.client()
                client.send([0xE0, 0x00])
                client.end()
                stage.leave(0)
                sum &+= UInt64(client.version.rawValue)
            }
            return sum
        }
    }

    private static func ping() -> (Int) -> UInt64 {
        let stage = WorkerStage(workers: 1)
        let client = stage.client()
        let block = (0..<20).flatMap { _ in [0xC0, 0x00] as [UInt8] }
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<(count / 20) {
                client.send(block)
                sum &+= UInt64(client.receive(40)[0])
            }
            withExtendedLifetime(stage) {}
            return sum
        }
    }
}
