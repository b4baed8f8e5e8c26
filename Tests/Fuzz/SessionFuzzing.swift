import Base
import Broker
import MQTT
import Simulation
import TestKit

/// Whole sessions: what a client sends after (or instead of) a correct CONNECT, on two workers
/// with other clients.
enum SessionFuzzing {
    static let target = FuzzTarget(
        name: "session",
        what: "bytes of a client on a worker: no crash, others are served, everything given back",
        corpus: PacketFuzzing.target.corpus + streams, run: run)

    private static let stepsMax = 3_000

    /// Streams of several packets, which bring a session further than one does.
    private static let streams: [[UInt8]] = ProtocolVersion.allCases.flatMap { version in
        QoS.allCases.map { qos in
            bytes { writer in
                let options = SubscriptionOptions(
                    maximumQoS: qos, noLocal: false, retainAsPublished: true,
                    retainHandling: .send)
                SubscribeRequest(
                    packetID: 1,
                    entries: ["#", "a/+", "$share/g/a/b"].map {
                        SubscribeRequest.Entry(filter: Array($0.utf8), options: options)
                    }
                ).encode(version, into: &writer)
                for packetID in 2...5 as ClosedRange<UInt16> {
                    PublishEncoding.encode(
                        PublishFields(
                            version: version, qos: qos, dup: false, retain: packetID == 3,
                            packetID: qos == .atMostOnce ? 0 : packetID, topicAlias: 0,
                            messageExpiry: nil),
                        topic: Array("a/b".utf8), forwarded: [], subscriptionIDs: [],
                        payload: [UInt8](repeating: 7, count: Int(packetID)), into: &writer)
                }
                for type in [PacketType.puback, .pubrec, .pubrel, .pubcomp] {
                    for packetID in 1...4 as ClosedRange<UInt16> {
                        AckEncoding.write(
                            type, version, packetID: packetID, reasonCode: .success,
                            into: &writer)
                    }
                }
                UnsubscribeRequest(packetID: 6, filters: [Array("#".utf8)])
                    .encode(version, into: &writer)
                _ = DisconnectPacket(reasonCode: .normalDisconnection)
                    .encode(version, limit: .max, into: &writer)
            }
        }
    }

    private static func bytes(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        write(&writer)
        return writer.array
    }

    private static func run(_ input: [UInt8], _ random: inout SeededRandom) -> String? {
        var options = RigOptions()
        options.workers = 2
        options.rangesPerStore = 1 + random.below(2)
        options.lateMailPercent = random.chance(percent: 30) ? 20 : 0
        options.lateAnswerPercent = 20
        let rig = Rig(seed: random.next(), options)
        let bystander = RigClient(rig, "bystander")
        bystander.connect(to: 0)
        let asked = bystander.subscribe(["#", "by/stander"])
        let hostile = (0..<2).map { number in
            let version = ProtocolVersion.allCases[random.below(3)]
            let client = RigClient(rig, "hostile-\(number * random.below(2))", version: version)
            greet(client, input, &random)
            return client
        }
        for _ in 0..<40 {
            rig.step()
            for client in [bystander] + hostile { client.receive() }
        }
        return check(rig, bystander, asked, hostile)
    }

    private static func greet(
        _ client: RigClient, _ input: [UInt8], _ random: inout SeededRandom
    ) {
        let stays = random.chance(percent: 40)
        client.connect(
            to: random.below(2), cleanStart: !stays, expirySeconds: stays ? 100 : 0
        ) { packet in
            if random.chance(percent: 30) {
                packet.will = WillMessage(
                    topic: Array("a/will".utf8), payload: [1], qos: .exactlyOnce, retain: false)
            }
        }
        client.acknowledges = random.chance(percent: 70)
        client.sendRaw(input)
    }

    /// The bystander is served, and once all have gone nothing is left of them.
    private static func check(
        _ rig: Rig, _ bystander: RigClient, _ asked: UInt16, _ hostile: [RigClient]
    ) -> String? {
        bystander.publish("by/stander", "still here", qos: .exactlyOnce)
        let all = [bystander] + hostile
        let isServed = settle(rig, all) {
            bystander.answers[asked] != nil && bystander.sending.isEmpty
                && bystander.received.contains { $0.payload == "still here" }
        }
        if !isServed { return "the bystander is not served" }
        // What hostile clients hear need not fit what they sent; the bystander's must.
        if let complaint = bystander.complaints.first { return complaint }
        for client in all { client.cut() }
        let isFree = settle(rig, all) {
            rig.places.allSatisfy { $0.worker.load == WorkerLoad() }
        }
        return isFree ? nil : "left: \(rig.places.map(\.worker.load))"
    }

    private static func settle(
        _ rig: Rig, _ clients: [RigClient], until condition: () -> Bool
    ) -> Bool {
        rig.run(stepsMax) {
            for client in clients { client.receive() }
            return condition()
        }
    }
}
