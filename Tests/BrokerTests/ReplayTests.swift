import Base
import MQTT
import Simulation
import TestKit
import Testing

/// Retained messages that are replayed while newer ones are published.
@Suite("Replay beside live messages")
struct ReplayTests {
    @Test(
        "a retained message comes by replay or live, never both ways, and none goes back",
        arguments: Seed.series(6))
    func once(seed: Seed) {
        var options = RigOptions()
        options.lateMailPercent = 20
        options.lateAnswerPercent = 20
        let rig = Rig(seed: seed.value, options)
        var random = SeededRandom(seed: seed.value)
        let publisher = RigClient(rig, "publisher")
        publisher.connect(to: 0)
        var subscribers: [RigClient] = []
        func pass(_ steps: Int = 1) {
            _ = rig.run(steps) {
                for client in [publisher] + subscribers { client.receive() }
                return false
            }
        }
        pass(20)
        var number = 0
        for round in 0..<30 {
            for _ in 0..<Int(1 + random.next(upperBound: UInt64(4)))
            where publisher.sending.count < 100 {
                let qos = QoS(rawValue: UInt8(random.next(upperBound: UInt64(3)))) ?? .atMostOnce
                publisher.publish("t/\(number % 2)", "\(number)", qos: qos, retain: true)
                number += 1
            }
            pass(Int(random.next(upperBound: UInt64(4))))
            if round % 3 == 0 {
                let subscriber = RigClient(rig, "subscriber-\(round)")
                let isStored = random.next(upperBound: UInt64(2)) == 0
                subscriber.connect(
                    to: round % 3, cleanStart: !isStored, expirySeconds: isStored ? 60 : 0)
                subscribers.append(subscriber)
                pass(12)
                _ = subscriber.subscribe(["t/+"], qos: .exactlyOnce)
            }
        }
        #expect(
            rig.run(4_000) {
                for client in [publisher] + subscribers { client.receive() }
                return publisher.sending.isEmpty
                    && subscribers.allSatisfy {
                        $0.received.contains { $0.payload == "\(number - 1)" }
                    }
            })
        pass(100)
        for subscriber in subscribers {
            let got = subscriber.received.map(\.payload)
            #expect(got.count == Set(got).count, "\(seed): \(subscriber.clientID) \(got)")
        }
        #expect(rig.places.map(\.worker.metrics.replaysRepeated).reduce(0, +) > 0, "\(seed)")
    }
}
