import Base
import MQTT
import Simulation
import TestKit
import Testing

/// Shared subscriptions over several workers: members that are busy, away, or gone.
@Suite("Shared groups")
struct SharedGroupTests {
    private static let filter = "$share/g/jobs/#"

    private func subscribe(
        _ rig: Rig, _ client: RigClient, _ filter: String = filter, to worker: Int = 0,
        stored: Bool = false, change: (inout ConnectPacket) -> Void = { _ in }
    ) {
        client.connect(
            to: worker, cleanStart: !stored, expirySeconds: stored ? 300 : 0, change: change)
        #expect(rig.settle([client]) { client.isConnected })
        let asked = client.subscribe([filter])
        #expect(rig.settle([client]) { client.answers[asked] == [.grantedQoS2] })
    }

    private func publisher(_ rig: Rig, _ worker: Int = 0) -> RigClient {
        let client = RigClient(rig, "publisher")
        client.connect(to: worker)
        #expect(rig.settle([client]) { client.isConnected })
        return client
    }

    @Test(
        "what nobody has room for waits in the group's inbox and goes to who comes next",
        arguments: [QoS.atLeastOnce, .exactlyOnce])
    func nobodyHasRoom(qos: QoS) {
        let rig = Rig(seed: 21)
        let busy = RigClient(rig, "busy")
        busy.acknowledges = false
        subscribe(rig, busy, to: 1) { $0.properties.receiveMaximum = 2 }
        let publisher = publisher(rig)
        for number in 0..<20 { publisher.publish("jobs/a", "\(number)", qos: qos) }
        #expect(rig.settle([busy, publisher]) { publisher.sending.isEmpty })
        #expect(busy.received.count == 2)
        let free = RigClient(rig, "free")
        subscribe(rig, free, to: 2)
        // Two were sent to the busy one, and as many leases as it may hold wait for its window.
        busy.cut()
        #expect(
            rig.settle([busy, free]) { free.received.count >= (qos == .atLeastOnce ? 20 : 18) })
        let all = Set((0..<20).map(String.init))
        let sent = Set(busy.received.map(\.payload))
        let expected = qos == .atLeastOnce ? all : all.subtracting(sent)
        #expect(Set(free.received.map(\.payload)) == expected)
        #expect(free.received.count == expected.count)
        #expect(free.complaints + busy.complaints + publisher.complaints == [])
    }

    @Test(
        "[MQTT-4.8.2-4] QoS 1 that a member left unacknowledged reaches another",
        arguments: [0, 1])
    func unacknowledged(worker: Int) {
        let rig = Rig(seed: 22)
        let first = RigClient(rig, "first")
        first.acknowledges = false
        subscribe(rig, first, to: worker)
        let publisher = publisher(rig)
        for number in 0..<5 { publisher.publish("jobs/a", "\(number)", qos: .atLeastOnce) }
        #expect(rig.settle([first, publisher]) { first.received.count == 5 })
        let second = RigClient(rig, "second")
        subscribe(rig, second, to: 2)
        first.cut()
        #expect(rig.settle([second]) { second.received.count == 5 })
        #expect(Set(second.received.map(\.payload)) == Set(first.received.map(\.payload)))
        #expect(second.received.allSatisfy { !$0.isDuplicate })
    }

    @Test("stored members that are away find what was published once they come, each message once")
    func storedMembersAway() {
        let rig = Rig(seed: 23)
        let members = (0..<2).map { RigClient(rig, "member-\($0)") }
        for (index, member) in members.enumerated() {
            subscribe(rig, member, to: index, stored: true)
            member.leave()
            #expect(rig.settle([member]) { member.link == nil })
        }
        let publisher = publisher(rig, 2)
        for number in 0..<30 {
            publisher.publish(
                "jobs/a", "\(number)", qos: number % 2 == 0 ? .atLeastOnce : .exactlyOnce)
        }
        #expect(rig.settle([publisher]) { publisher.sending.isEmpty })
        members[1].connect(to: 2, cleanStart: false, expirySeconds: 300)
        #expect(rig.settle(members) { members[1].received.count == 30 })
        #expect(Set(members[1].received.map(\.payload)) == Set((0..<30).map(String.init)))
        #expect(members[0].received.isEmpty)
        #expect(members.flatMap(\.complaints) == [])
    }

    @Test("a member that is online gets what a stored member that is away would have waited for")
    func onlineBeforeAway() {
        let rig = Rig(seed: 24)
        let away = RigClient(rig, "away")
        subscribe(rig, away, stored: true)
        away.leave()
        #expect(rig.settle([away]) { away.link == nil })
        let online = RigClient(rig, "online")
        subscribe(rig, online, to: 1)
        let publisher = publisher(rig, 2)
        for number in 0..<20 {
            publisher.publish(
                "jobs/a", "\(number)", qos: QoS(rawValue: UInt8(number % 3)) ?? .atMostOnce)
        }
        #expect(rig.settle([online, publisher]) { online.received.count == 20 })
    }

    @Test("the members of a group take turns")
    func turns() {
        let rig = Rig(seed: 25)
        let members = (0..<4).map { RigClient(rig, "member-\($0)") }
        for (index, member) in members.enumerated() { subscribe(rig, member, to: index % 3) }
        let publisher = publisher(rig)
        for round in 0..<10 {
            for number in 0..<4 {
                publisher.publish("jobs/a", "\(round) \(number)", qos: .atLeastOnce)
            }
            #expect(rig.settle(members + [publisher]) { publisher.sending.isEmpty })
        }
        #expect(rig.settle(members) { members.map(\.received.count).reduce(0, +) == 40 })
        #expect(members.allSatisfy { $0.received.count == 10 })
    }

    @Test("an ordered group keeps a publisher's order at one member, also while that one is busy")
    func ordered() {
        let rig = Rig(seed: 26)
        let members = (0..<3).map { RigClient(rig, "member-\($0)") }
        for (index, member) in members.enumerated() {
            subscribe(rig, member, "$oshare/g/jobs/#", to: index) {
                $0.properties.receiveMaximum = 1
            }
        }
        let publisher = publisher(rig)
        for number in 0..<30 { publisher.publish("jobs/a", "\(number)", qos: .atLeastOnce) }
        #expect(
            rig.settle(members + [publisher]) {
                members.map(\.received.count).reduce(0, +) == 30
            })
        let chosen = members.filter { !$0.received.isEmpty }
        #expect(chosen.count == 1)
        #expect(chosen.first?.received.map(\.payload) == (0..<30).map(String.init))
    }

    @Test("the group's messages go with its last member, and a new group begins empty")
    func lastMember() {
        let rig = Rig(seed: 27)
        let member = RigClient(rig, "member")
        subscribe(rig, member, stored: true)
        member.leave()
        let publisher = publisher(rig, 1)
        publisher.publish("jobs/a", "old", qos: .atLeastOnce)
        #expect(rig.settle([publisher, member]) { publisher.sending.isEmpty })
        member.connect(to: 0, cleanStart: true)
        #expect(rig.settle([member]) { member.isConnected })
        let next = RigClient(rig, "next")
        subscribe(rig, next, to: 2)
        publisher.publish("jobs/a", "new", qos: .atLeastOnce)
        #expect(rig.settle([publisher, next, member]) { !next.received.isEmpty })
        #expect(next.received.map(\.payload) == ["new"] && member.received.isEmpty)
    }

    /// Members that come and go while messages flow, on hosts that lose, delay and split.
    @Test(
        "nothing that was acknowledged is lost while one member stays, and QoS 2 comes once",
        arguments: Seed.series(6))
    func churn(seed: Seed) {
        var options = RigOptions()
        options.hostFaultPercent = 10
        options.splitsMax = 2
        options.lateMailPercent = 10
        options.lateAnswerPercent = 10
        let rig = Rig(seed: seed.value, options)
        var random = SeededRandom(seed: seed.value)
        let constant = RigClient(rig, "constant")
        subscribe(rig, constant, to: 1, stored: true)
        let publisher = publisher(rig)
        var members: [RigClient] = []
        var all = [constant, publisher]
        var number = 0
        for _ in 0..<120 {
            switch random.next(upperBound: UInt64(10)) {
            case 0 where members.count < 4:
                let member = RigClient(rig, "member-\(all.count)")
                member.acknowledges = random.next(upperBound: UInt64(3)) > 0
                all.append(member)
                members.append(member)
                subscribe(
                    rig, member, to: Int(random.next(upperBound: UInt64(3))),
                    stored: random.next(upperBound: UInt64(2)) == 0)
            case 1 where !members.isEmpty:
                let member = members.remove(at: Int(random.next(upperBound: UInt64(members.count))))
                // A stored member that stays away might keep what it was sent: it ends its session.
                if random.next(upperBound: UInt64(2)) == 0 { member.cut() } else { member.leave() }
                #expect(rig.settle(all) { member.link == nil })
                member.acknowledges = true
                member.connect(to: 0)
                #expect(rig.settle(all) { member.isConnected })
            default:
                for _ in 0..<5 where publisher.sending.count < 100 {
                    let qos: QoS = number % 4 == 3 ? .exactlyOnce : .atLeastOnce
                    publisher.publish("jobs/\(number % 3)", "\(number)", qos: qos)
                    number += 1
                }
                _ = rig.run(3) {
                    for client in all { client.receive() }
                    return false
                }
            }
        }
        for member in members { member.cut() }
        // QoS 2 that was on its way to a member that broke off is nobody else's.
        let wanted = Set((0..<number).filter { $0 % 4 != 3 }.map(String.init))
        let isComplete = rig.settle(all, 40_000) {
            publisher.sending.isEmpty
                && wanted.isSubset(of: all.flatMap(\.received).map(\.payload))
        }
        let got = all.flatMap(\.received).map(\.payload)
        let exactlyOnce = all.flatMap(\.received).filter { $0.qos == .exactlyOnce }.map(\.payload)
        let twice = Dictionary(grouping: exactlyOnce) { $0 }.filter { $0.value.count > 1 }.keys
        let whose = all.flatMap { client in
            client.received.filter { twice.contains($0.payload) }.map {
                "\(client.clientID)#\($0.connection) \($0.payload)\($0.isDuplicate ? " DUP" : "")"
            }
        }
        #expect(whose == [], "\(seed)")
        #expect(exactlyOnce.count > number / 8, "\(seed)")
        #expect(isComplete, "\(seed): missing \(wanted.subtracting(got).sorted())")
        #expect(all.flatMap(\.complaints) == [], "\(seed)")
    }
}
