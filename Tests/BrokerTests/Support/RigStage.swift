import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// A rig whose events are kept, and what tests do with it again and again.
struct RigStage {
    let rig: Rig

    init(
        _ authoriser: (any Authoriser)? = nil, seed: UInt64 = 1, workers: Int = 3,
        settings: [String: String] = [:], change: (inout RigOptions) -> Void = { _ in }
    ) throws {
        var options = RigOptions()
        options.workers = workers
        options.authoriser = authoriser
        options.keepsEvents = true
        var overrides = TenantOverrides()
        for (name, value) in settings { try overrides.set(name, to: value) }
        let wanted = overrides
        try options.tenants.update { table throws(SettingError) in
            try table.store(wanted, for: .standard)
        }
        change(&options)
        rig = Rig(seed: seed, options)
    }

    static func table(_ rules: String) throws -> AccessTable {
        try AccessFileDecoder.decode(Array(rules.utf8), path: "rules")
    }

    /// Runs until `condition` holds; a test without it fails here.
    func settle(
        _ clients: [RigClient], at location: SourceLocation = #_sourceLocation,
        until condition: () -> Bool
    ) {
        let isSettled = rig.run {
            for client in clients { client.receive() }
            return condition()
        }
        #expect(isSettled, sourceLocation: location)
    }

    /// Some turns in which nothing that is asked for here happens.
    func pass(_ clients: [RigClient], turns: Int = 20) {
        for _ in 0..<turns {
            rig.step()
            for client in clients { client.receive() }
        }
    }

    func client(
        _ name: String, to worker: Int = 0, user: String = "", version: ProtocolVersion = .v5,
        expiry: UInt32 = 0, cleanStart: Bool = true,
        at location: SourceLocation = #_sourceLocation,
        change: (inout ConnectPacket) -> Void = { _ in }
    ) -> RigClient {
        let client = RigClient(rig, name, version: version)
        connect(client, to: worker, user: user, expiry: expiry, cleanStart: cleanStart, change)
        settle([client], at: location) { client.isConnected }
        return client
    }

    func connect(
        _ client: RigClient, to worker: Int = 0, user: String = "", expiry: UInt32 = 0,
        cleanStart: Bool = true, _ change: (inout ConnectPacket) -> Void = { _ in }
    ) {
        client.connect(to: worker, cleanStart: cleanStart, expirySeconds: expiry) {
            if !user.isEmpty { $0.username = Array(user.utf8) }
            change(&$0)
        }
    }

    /// Subscribes and returns the codes of SUBACK.
    func subscribe(
        _ client: RigClient, _ filters: String..., qos: QoS = .exactlyOnce,
        at location: SourceLocation = #_sourceLocation
    ) -> [ReasonCode] {
        let packetID = client.subscribe(filters, qos: qos)
        settle([client], at: location) { client.answers[packetID] != nil }
        return client.answers[packetID] ?? []
    }

    func drops(_ reason: DropReason) -> Int {
        rig.places.reduce(0) { sum, place in
            sum + Int(place.worker.eventTotals.value(reason, of: .standard))
        }
    }

    func count(_ kind: EventKind) -> Int { rig.events.count { $0.event.kind == kind } }
}
