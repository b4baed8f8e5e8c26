import Base
import MQTT
import Simulation
import TestKit
import Testing

@Suite("Workers on one thread")
struct RigTests {
    @Test(
        "every QoS crosses workers in order, once, and is acknowledged",
        arguments: Seed.series(4))
    func crossesWorkers(seed: Seed) {
        let rig = Rig(seed: seed.value)
        let publisher = RigClient(rig, "publisher")
        let subscribers = (0..<3).map { RigClient(rig, "subscriber-\($0)") }
        publisher.connect(to: 0)
        for (index, subscriber) in subscribers.enumerated() { subscriber.connect(to: index) }
        let all = [publisher] + subscribers
        #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
        let asked = subscribers.map { $0.subscribe(["news/+"]) }
        #expect(
            rig.settle(all) {
                zip(subscribers, asked).allSatisfy { $0.answers[$1] == [.grantedQoS2] }
            })
        var sent: [String] = []
        for number in 0..<60 {
            let qos = QoS(rawValue: UInt8(number % 3)) ?? .atMostOnce
            publisher.publish("news/\(number % 2)", "\(number)", qos: qos)
            sent.append("\(number)")
        }
        let isDone = rig.settle(all) {
            publisher.sending.isEmpty && subscribers.allSatisfy { $0.received.count >= 60 }
        }
        #expect(isDone)
        for subscriber in subscribers {
            // Order is promised per topic and QoS; there are as many topics as QoS and two.
            for remainder in 0..<6 {
                let got = subscriber.received.compactMap { Int($0.payload) }
                #expect(
                    got.filter { $0 % 6 == remainder }
                        == Array(stride(from: remainder, to: 60, by: 6)))
            }
            #expect(Set(subscriber.received.map(\.payload)) == Set(sent))
            #expect(
                subscriber.received.allSatisfy {
                    Int($0.qos.rawValue) == (Int($0.payload) ?? 0) % 3
                })
        }
        #expect(all.flatMap(\.complaints) == [])
    }

    @Test("a stored session finds on another worker what came while it was away")
    func storedSession() {
        let rig = Rig(seed: 11)
        let publisher = RigClient(rig, "publisher")
        let subscriber = RigClient(rig, "subscriber")
        let all = [publisher, subscriber]
        publisher.connect(to: 0)
        subscriber.connect(to: 1, cleanStart: false, expirySeconds: 300)
        #expect(rig.settle(all) { all.allSatisfy(\.isConnected) })
        let asked = subscriber.subscribe(["a/#"])
        #expect(rig.settle(all) { subscriber.answers[asked] != nil })
        subscriber.leave()
        #expect(rig.settle(all) { subscriber.link == nil })
        for number in 0..<20 { publisher.publish("a/b", "\(number)", qos: .atLeastOnce) }
        #expect(rig.settle(all) { publisher.sending.isEmpty })
        subscriber.connect(to: 2, cleanStart: false, expirySeconds: 300)
        #expect(rig.settle(all) { subscriber.received.count == 20 })
        #expect(subscriber.connack?.sessionPresent == true)
        #expect(subscriber.received.map(\.payload) == (0..<20).map { "\($0)" })
        #expect(all.flatMap(\.complaints) == [])
    }

    @Test("a client id has one owner: the older connection hears 0x8E before the newer CONNACK")
    func takeover() {
        let rig = Rig(seed: 12)
        let older = RigClient(rig, "same")
        let newer = RigClient(rig, "same")
        older.connect(to: 0)
        #expect(rig.settle([older]) { older.isConnected })
        newer.connect(to: 1)
        let isDone = rig.settle([older, newer]) {
            if newer.isConnected { #expect(older.disconnect != nil) }
            return newer.isConnected
        }
        #expect(isDone)
        #expect(older.disconnect?.reasonCode == .sessionTakenOver)
        #expect(older.link == nil)
    }
}
