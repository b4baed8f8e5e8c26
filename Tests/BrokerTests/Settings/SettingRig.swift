import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// A rig whose tenant's settings change while it runs, and outcomes of what clients do as texts.
final class SettingRig {
    let rig: Rig
    let tenants: TenantStore
    private var overrides = TenantOverrides()
    private var clients: [RigClient] = []
    /// Numbers topics and client ids, so that what is done twice is done anew.
    private(set) var number = 0

    init(
        _ settings: [String: String] = [:], workers: Int = 3, seed: UInt64 = 1,
        change: (inout RigOptions) -> Void = { _ in }
    ) throws {
        var options = RigOptions()
        options.workers = workers
        options.keepsEvents = true
        change(&options)
        tenants = options.tenants
        rig = Rig(seed: seed, options)
        try set(settings)
    }

    // MARK: Settings

    /// Changes settings as the API does; every worker has seen them afterwards.
    func set(_ settings: [String: String]) throws {
        for (name, value) in settings { try overrides.set(name, to: value) }
        let wanted = overrides
        try tenants.update { table throws(SettingError) in
            try table.store(wanted, for: .standard)
        }
        pass(3)
    }

    // MARK: Time

    /// Runs until `condition` holds; false if it does not.
    @discardableResult
    func settle(_ limit: Int = 2_000, until condition: () -> Bool) -> Bool {
        rig.run(limit) {
            for client in clients { client.receive() }
            return condition()
        }
    }

    /// Some turns in which nothing that is asked for here happens.
    func pass(_ turns: Int = 30) {
        var left = turns
        settle(turns) {
            left -= 1
            // A millisecond each, also where nothing happens.
            rig.skip(.zero)
            return left < 0
        }
    }

    // MARK: Clients

    func next() -> Int {
        number += 1
        return number
    }

    /// A client that tries to connect, and has heard the answer.
    @discardableResult
    func connect(
        _ clientID: String? = nil, _ version: ProtocolVersion = .v5, to worker: Int = 0,
        expiry: UInt32 = 0, user: String = "", change: (inout ConnectPacket) -> Void = { _ in }
    ) -> RigClient {
        let client = RigClient(rig, clientID ?? "client-\(next())", version: version)
        clients.append(client)
        connect(client, to: worker, expiry: expiry, user: user, change: change)
        return client
    }

    /// A client connects again.
    func connect(
        _ client: RigClient, to worker: Int = 0, expiry: UInt32 = 0, user: String = "",
        change: (inout ConnectPacket) -> Void = { _ in }
    ) {
        client.connect(to: worker, cleanStart: expiry == 0, expirySeconds: expiry) {
            if !user.isEmpty { $0.username = Array(user.utf8) }
            change(&$0)
        }
        settle { client.connack != nil || client.link == nil }
        pass(5)
    }

    /// A client leaves, and the server has noticed.
    func end(_ client: RigClient, _ reasonCode: ReasonCode = .normalDisconnection) {
        client.leave(reasonCode)
        settle { client.link == nil }
        pass(10)
    }

    // MARK: Outcomes

    static func text(_ code: ReasonCode) -> String {
        "0x" + String(code.rawValue, radix: 16, uppercase: true)
    }

    /// What the end of a connection said; nil if it is open.
    func end(of client: RigClient) -> String? {
        if let packet = client.disconnect { return "DISCONNECT " + Self.text(packet.reasonCode) }
        return client.link == nil ? "closed" : nil
    }

    /// The code of CONNACK, or `closed`.
    func outcome(ofConnect client: RigClient) -> String {
        client.connack.map { Self.text($0.reasonCode) } ?? "closed"
    }

    func publish(
        _ client: RigClient, _ topic: String, _ payload: String? = nil,
        qos: QoS = .atLeastOnce, retain: Bool = false
    ) -> String {
        let payload = payload ?? "p\(next())"
        client.publish(topic, payload, qos: qos, retain: retain)
        if qos == .atMostOnce {
            pass()
            return end(of: client) ?? "sent"
        }
        settle { client.acknowledged[payload] != nil || end(of: client) != nil }
        return client.acknowledged[payload].map(Self.text) ?? end(of: client) ?? "no answer"
    }

    /// A QoS 1 PUBLISH with properties that clients of the library do not send.
    func publish(_ client: RigClient, forwarding bytes: [UInt8], _ payload: [UInt8]) -> String {
        let packetID = UInt16(60_000 + next())
        client.sendRaw(
            Greeting.publish(
                "raw", payload, qos: .atLeastOnce, packetID: packetID, forwarded: bytes))
        settle { client.codes[packetID] != nil || end(of: client) != nil }
        return client.codes[packetID].map(Self.text) ?? end(of: client) ?? "no answer"
    }

    func subscribe(
        _ client: RigClient, _ filters: String..., qos: QoS = .exactlyOnce,
        subscriptionID: UInt32 = 0,
        retainHandling: SubscriptionOptions.RetainHandling = .send
    ) -> String {
        answer(
            client.subscribe(
                filters, qos: qos, subscriptionID: subscriptionID,
                retainHandling: retainHandling), client)
    }

    func unsubscribe(_ client: RigClient, _ filters: String...) -> String {
        answer(client.unsubscribe(filters), client)
    }

    private func answer(_ packetID: UInt16, _ client: RigClient) -> String {
        settle { client.answers[packetID] != nil || end(of: client) != nil }
        return client.answers[packetID].map { $0.map(Self.text).joined(separator: ",") }
            ?? end(of: client) ?? "no answer"
    }

    // MARK: Counters

    func drops(_ reason: DropReason) -> Int {
        rig.places.reduce(0) { $0 + Int($1.worker.eventTotals.value(reason, of: .standard)) }
    }

    func count(_ kind: EventKind) -> Int {
        rig.places.reduce(0) { $0 + Int($1.worker.eventTotals.value(kind, of: .standard)) }
    }

    func records(_ kind: EventKind) -> Int { rig.events.count { $0.event.kind == kind } }

    func used(_ resource: ResourceType) -> Int {
        rig.accounts.account(of: .standard).used(resource)
    }
}

extension RigClient {
    var payloads: [String] { received.map(\.payload) }
}
