import Base
import MQTT
import Policy
import Simulation
import TestKit
import Testing

/// What takes time, with a clock that the test moves.
@Suite("Deadlines and rates")
struct TimeTests {
    @Test("[attack 24] [refusal C01] a CONNECT that comes byte by byte has one deadline in all")
    func slowConnect() throws {
        let rig = Rig(seed: 3)
        let slow = try #require(rig.connect(to: 0))
        let other = RigClient(rig, "other")
        var writer = ByteWriter()
        ConnectPacket(version: .v5, cleanStart: true, keepAlive: 0, clientID: Array("slow".utf8))
            .encode(into: &writer)
        for byte in writer.array.prefix(3) {
            rig.send(slow, [byte])
            rig.step()
            rig.skip(.seconds(9))
        }
        rig.step()
        rig.step()
        #expect(!rig.isOpen(slow) && rig.take(slow).isEmpty)
        other.connect(to: 0)
        #expect(rig.settle([other]) { other.isConnected && rig.isGone(slow) })
    }

    @Test("[refusal D04] nothing for one and a half keep alives", arguments: [true, false])
    func silence(isOld: Bool) {
        let rig = Rig(seed: 4)
        let client = RigClient(rig, "silent", version: isOld ? .v311 : .v5)
        client.connect(to: 1) { $0.keepAlive = 60 }
        #expect(rig.settle([client]) { client.isConnected })
        let began = rig.now
        rig.skip(.seconds(88))
        rig.step()
        client.receive()
        #expect(client.isConnected)
        rig.skip(.seconds(3))
        #expect(rig.settle([client]) { client.link == nil })
        // Time goes on by itself while nothing moves.
        #expect(rig.now - began < .seconds(100))
        #expect(client.disconnect?.reasonCode == (isOld ? nil : .keepAliveTimeout))
    }

    @Test("[refusal C19] a tenant's connect rate is passed, and free again a second later")
    func connectRate() throws {
        var overrides = TenantOverrides()
        try overrides.set("TotalConnectPerSecond", to: "1")
        let wanted = overrides
        let options = RigOptions()
        try options.tenants.update { table throws(SettingError) in
            try table.store(wanted, for: .standard)
        }
        let rig = Rig(seed: 5, options)
        let first = RigClient(rig, "first")
        first.connect(to: 0)
        #expect(rig.settle([first]) { first.isConnected })
        let second = RigClient(rig, "second")
        second.connect(to: 1)
        #expect(rig.settle([second]) { second.connack != nil })
        #expect(second.connack?.reasonCode == .connectionRateExceeded)
        let third = RigClient(rig, "third", version: .v311)
        third.connect(to: 2)
        #expect(rig.settle([third]) { third.connack != nil })
        #expect(third.connack?.reasonCode == .serverUnavailable)
        rig.skip(.seconds(2))
        second.connect(to: 1)
        #expect(rig.settle([second]) { second.isConnected })
    }

    @Test("sessions of every kind, once gone, leave nothing on any worker")
    func nothingLeft() {
        let rig = Rig(seed: 6)
        let clients = (0..<12).map { RigClient(rig, "client-\($0)") }
        for (number, client) in clients.enumerated() {
            let isStored = number % 2 == 0
            client.connect(
                to: number % 3, cleanStart: !isStored, expirySeconds: isStored ? 60 : 0)
        }
        #expect(rig.settle(clients) { clients.allSatisfy(\.isConnected) })
        for client in clients {
            _ = client.subscribe(["a/#", "$share/g/a/+", "b"])
            client.publish("a/b", "x", qos: .exactlyOnce)
            client.publish("b", "y", qos: .atLeastOnce)
        }
        #expect(rig.settle(clients) { clients.allSatisfy { $0.sending.isEmpty } })
        for (number, client) in clients.enumerated() {
            if number % 3 == 0 { client.leave() } else { client.cut() }
        }
        let isFree = rig.settle(clients) {
            rig.places.allSatisfy {
                let load = $0.worker.load
                return load.sessions == 0 && load.trackers == 0 && load.operations == 0
                    && load.questions == 0 && load.parkedBytes == 0 && load.subscriptions == 0
            }
        }
        #expect(isFree, "\(rig.places.map(\.worker.load))")
    }
}
