import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// One kind of event: what clients do to make it happen, and what it then says.
struct EventRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var settings: [String: String] = [:]
    /// Rules of an access file; without them everything is allowed.
    var rules: String?
    var change: @Sendable (inout RigOptions) -> Void = { _ in }
    /// Whom the event concerns; nil where that is no client, or not known.
    var clientID: String? = "client"
    var tenant = TenantName.standard.text
    /// The event to the letter, or by a check of what is not fixed in it.
    let expects: @Sendable (Event) -> Bool
    let kind: EventKind
    let play: @Sendable (RigStage) throws -> Void

    init(
        _ title: String, _ event: Event, clientID: String? = "client",
        settings: [String: String] = [:], rules: String? = nil,
        change: @escaping @Sendable (inout RigOptions) -> Void = { _ in },
        play: @escaping @Sendable (RigStage) throws -> Void
    ) {
        self.init(
            title, event.kind, clientID: clientID, settings: settings, rules: rules,
            change: change, expects: { $0 == event }, play: play)
    }

    init(
        _ title: String, _ kind: EventKind, clientID: String? = "client",
        settings: [String: String] = [:], rules: String? = nil,
        change: @escaping @Sendable (inout RigOptions) -> Void = { _ in },
        expects: @escaping @Sendable (Event) -> Bool,
        play: @escaping @Sendable (RigStage) throws -> Void
    ) {
        testDescription = title
        self.kind = kind
        self.clientID = clientID
        self.settings = settings
        self.rules = rules
        self.change = change
        self.expects = expects
        self.play = play
    }

    /// Plays the row, with the tenant in debug mode, and looks for its event and its count.
    func check(seed: UInt64) throws {
        let authoriser = try rules.map { FileAuthoriser(try RigStage.table($0)) }
        let stage = try RigStage(
            authoriser, seed: seed,
            settings: settings.merging(["DebugModeEnabled": "true"]) { own, _ in own },
            change: change)
        try play(stage)
        _ = stage.rig.run(4_000) { stage.rig.events.contains { $0.event.kind == kind } }
        let same = stage.rig.events.filter { $0.event.kind == kind }
        let found = same.filter { expects($0.event) }
        #expect(!found.isEmpty, "\(kind.name): \(same.map(\.logLine))")
        if let clientID {
            #expect(
                found.contains { $0.subject?.clientID == clientID }, "\(found.map(\.logLine))")
        }
        let isOfNode = kind.row.group == .node && kind != .settingsChanged
        #expect(found.allSatisfy { $0.tenant == (isOfNode ? "" : tenant) })
        #expect(stage.counted(kind) >= found.count)
        #expect(found.allSatisfy { $0.milliseconds >= 1_700_000_000_000 })
    }
}

extension RigStage {
    /// How often the workers have counted a kind for the tenant without a name.
    func counted(_ kind: EventKind) -> Int {
        rig.places.reduce(0) { sum, place in
            sum + Int(place.worker.eventTotals.value(kind, of: .standard))
        }
    }

    /// Bytes of a client that has not spoken yet.
    func raw(_ bytes: [UInt8], then: (Rig.Link) -> Void = { _ in }) throws {
        let link = try #require(rig.connect(to: 0))
        rig.send(link, bytes)
        rig.step()
        rig.step()
        then(link)
    }

    func run(_ clients: [RigClient], until kind: EventKind) {
        _ = rig.run(4_000) {
            for client in clients { client.receive() }
            return rig.events.contains { $0.event.kind == kind }
        }
    }

    /// Publishes and waits for the acknowledgement.
    func publish(
        _ client: RigClient, _ topic: String, _ payload: String, qos: QoS = .atLeastOnce,
        retain: Bool = false
    ) {
        client.publish(topic, payload, qos: qos, retain: retain)
        settle([client]) { client.sending.isEmpty }
    }
}

/// An authenticator by a closure.
struct ClosureAuthenticator: Authenticator {
    let answer: @Sendable (AuthenticationRequest) -> AuthenticationResult

    func authenticate(
        _ request: AuthenticationRequest, _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? { answer(request) }
}

/// An exchange that goes on for ever.
struct EndlessExchange: AuthenticationExchange {
    func receive(
        _ data: [UInt8], _ completion: @escaping AuthenticationCompletion
    ) -> AuthenticationResult? { .challenge(data: data, self) }
}
