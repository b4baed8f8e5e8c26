import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

extension EventRow {
    static func refusing(
        _ refusal: AuthenticationRefusal
    ) -> @Sendable (inout RigOptions) -> Void {
        { $0.authenticator = ClosureAuthenticator { _ in .refused(refusal) } }
    }

    /// Opens a connection, says CONNECT and nothing more.
    private static func tries(
        _ clientID: String = "client",
        change: @escaping @Sendable (inout ConnectPacket) -> Void = { _ in }
    ) -> @Sendable (RigStage) throws -> Void {
        { stage in
            let client = RigClient(stage.rig, clientID)
            stage.connect(client, change)
            stage.pass([client], turns: 5)
        }
    }

    private static func will(_ topic: String, qos: QoS = .atMostOnce) -> WillMessage {
        WillMessage(topic: Array(topic.utf8), payload: [1], qos: qos, retain: false)
    }

    static let channels: [EventRow] = [
        EventRow(
            "[event authError] the authenticator could not judge",
            .channel(.authError(reason: "busy")), clientID: "",
            change: refusing(.serverBusy("busy")), play: tries()),
        EventRow(
            "[event authError] the authenticator names a user with 65,536 bytes",
            .channel(.authError(reason: "the user's name is too long")), clientID: "",
            change: {
                $0.authenticator = ClosureAuthenticator { _ in
                    .accepted(
                        Principal(
                            tenant: .standard, user: String(repeating: "u", count: 65_536)))
                }
            },
            play: tries()),
        EventRow(
            "[event enhancedAuthAbortByClient] the client leaves in mid-exchange",
            .channel(.enhancedAuthAbortByClient), clientID: "",
            change: {
                $0.authenticator = ClosureAuthenticator { _ in
                    .challenge(data: [1], EndlessExchange())
                }
            },
            play: { stage in
                let client = RigClient(stage.rig, "client")
                stage.connect(client) { $0.properties.authenticationMethod = Array("M".utf8) }
                stage.pass([client], turns: 5)
                client.leave()
            }),
        EventRow(
            "[event unauthenticatedClient] a wrong password", .channel(.unauthenticatedClient),
            clientID: "", change: refusing(.badUserOrPassword("no")), play: tries()),
        EventRow(
            "[event notAuthorizedClient] rules that forbid to connect",
            .channel(.notAuthorizedClient), rules: "deny connect user=x\ndefault allow\n",
            play: tries { $0.username = Array("x".utf8) }),
        EventRow(
            "[event channelError] gone before CONNECT was whole",
            .channel(.channelError(cause: "closed by the client")), clientID: "",
            play: { stage in try stage.raw([0x10]) { stage.rig.cut($0) } }),
        EventRow(
            "[event connectTimeout] no CONNECT", .channel(.connectTimeout), clientID: "",
            play: { stage in try stage.raw([]) { _ in stage.rig.skip(.seconds(30)) } }),
        EventRow(
            "[event identifierRejected] a control character in the client id",
            .channel(.identifierRejected), clientID: "c\u{7}", play: tries("c\u{7}")),
        EventRow(
            "[event malformedClientIdentifier] a client id that is no UTF-8",
            .channel(.malformedClientIdentifier), clientID: "",
            play: { stage in
                try stage.raw(
                    Greeting.packet(
                        0x10, Greeting.text("MQTT") + [5, 2, 0, 0, 0] + Greeting.text16([0xFF])))
            }),
        EventRow(
            "[event malformedUsername] a user name that is no UTF-8",
            .channel(.malformedUsername), clientID: "",
            play: { stage in
                try stage.raw(
                    Greeting.packet(
                        0x10,
                        Greeting.text("MQTT") + [4, 0x82, 0, 0] + Greeting.text("c")
                            + Greeting.text16([0xFF])))
            }),
        EventRow(
            "[event malformedWillTopic] a will topic with a wildcard",
            .channel(.malformedWillTopic), clientID: "", play: tries { $0.will = will("a/#") }),
        EventRow(
            "[event malformedWillTopic] a will topic with too many levels",
            .channel(.malformedWillTopic), settings: ["MaxTopicLevels": "2"],
            play: tries { $0.will = will("a/b/c") }),
        EventRow(
            "[event protocolError] CONNECT without an end",
            .channel(.protocolError(statement: "packet ends inside a field ")), clientID: "",
            play: { stage in
                try stage.raw(Greeting.packet(0x10, Greeting.text("MQTT") + [5, 2, 0]))
            }),
        EventRow(
            "[event unacceptedProtocolVer] version 9", .channel(.unacceptedProtocolVer),
            clientID: "",
            play: { stage in
                try stage.raw(
                    Greeting.packet(
                        0x10, Greeting.text("MQTT") + [9, 2, 0, 0, 0] + Greeting.text("c")))
            }),
        EventRow(
            "[event clientConnected] CONNACK with success",
            .connection(
                .clientConnected(
                    sessionID: "user/client", keepAlive: 70, cleanStart: false,
                    sessionPresent: false, hasWill: true)),
            play: { stage in
                let client = RigClient(stage.rig, "client")
                stage.connect(client, user: "user", cleanStart: false) {
                    $0.keepAlive = 70
                    $0.will = will("w")
                }
            }),
    ]

    /// A row in which a connected client sends these bytes.
    private static func sends(
        _ title: String, _ event: DisconnectEvent, settings: [String: String] = [:],
        rules: String? = nil, _ bytes: [UInt8]
    ) -> EventRow {
        EventRow(title, .disconnect(event), settings: settings, rules: rules) { stage in
            stage.client("client").sendRaw(bytes)
        }
    }

    private static func filters(_ first: UInt8, _ count: Int) -> [UInt8] {
        let options: [UInt8] = first == 0x82 ? [0] : []
        return Greeting.packet(
            first, [0, 1, 0] + (0..<count).flatMap { Greeting.text("f/\($0)") + options })
    }

    static let disconnects: [EventRow] = [
        sends(
            "[event badPacket] QoS 3", .badPacket(cause: "QoS 3 MQTT-3.3.1-4"),
            Greeting.packet(0x36, Greeting.text("a") + [0, 1, 0])),
        sends("[event byClient] DISCONNECT", .byClient(withoutDisconnect: false), [0xE0, 0]),
        EventRow(
            "[event byServer] the node stops", .disconnect(.byServer),
            play: { stage in
                _ = stage.client("client")
                for place in stage.rig.places { place.worker.drain() }
            }),
        EventRow(
            "[event serverBusy] a publish of 3.1.1 that comes to nothing",
            .disconnect(.serverBusy(reason: "implementationSpecificError")),
            play: { stage in
                let client = stage.client("client", version: .v311)
                stage.rig.isolated = [0, 1, 2]
                client.publish("a", "x", qos: .atLeastOnce)
                stage.run([client], until: .serverBusy)
            }),
        EventRow(
            "[event resourceThrottled] a slow consumer, by the tenant's policy",
            .disconnect(.resourceThrottled(reason: "queue of a slow consumer")),
            settings: ["SlowConsumerPolicy": "disconnect", "SessionInboxSize": "1"],
            play: { $0.overflow() }),
        EventRow(
            "[event clientChannelError] the connection breaks",
            .disconnect(.clientChannelError(cause: "connection error 104")),
            play: { stage in
                let client = stage.client("client")
                if let link = client.link { stage.rig.fail(link, "connection error 104") }
            }),
        EventRow(
            "[event idle] silence for one and a half keep alives",
            .disconnect(.idle(keepAlive: 60)),
            play: { stage in
                _ = stage.client("client") { $0.keepAlive = 60 }
                stage.rig.skip(.seconds(91))
            }),
        EventRow(
            "[event inboxTransientError] nobody says whose the client id is",
            .disconnect(.inboxTransientError(reason: "claim")),
            play: { stage in
                stage.rig.isolated = [0, 1, 2]
                let client = RigClient(stage.rig, "client")
                stage.connect(client)
                stage.run([client], until: .inboxTransientError)
            }),
        sends(
            "[event invalidTopic] more levels than allowed", .invalidTopic(topic: "a/b/c"),
            settings: ["MaxTopicLevels": "2"], Greeting.publish("a/b/c")),
        sends(
            "[event invalidTopic] a wildcard", .invalidTopic(topic: "a/#"),
            Greeting.packet(0x30, Greeting.text("a/#") + [0])),
        sends(
            "[event malformedTopic] a topic that is no UTF-8", .malformedTopic(topic: "a\u{FFFD}"),
            Greeting.packet(0x30, Greeting.text16([0x61, 0xFF]) + [0])),
        sends(
            "[event invalidTopicFilter] a wildcard where CONNACK said there are none",
            .invalidTopicFilter(filter: "a/+"),
            settings: ["WildcardSubscriptionEnabled": "false"], Greeting.subscribe("a/+")),
        sends(
            "[event malformedTopicFilter] a filter that is no UTF-8",
            .malformedTopicFilter(filter: "\u{FFFD}"),
            Greeting.packet(
                0x82, [0, 1, 0] + Greeting.text("a") + [0] + Greeting.text16([0xFF]) + [0])),
        EventRow(
            "[event kicked] the client id connects elsewhere",
            .disconnect(.kicked(kicker: "another connection")),
            play: { stage in
                _ = stage.client("client")
                _ = stage.client("client", to: 1)
            }),
        EventRow(
            "[event reAuthFailed] the second authentication is refused",
            .disconnect(.reAuthFailed(reason: "again")),
            change: {
                $0.authenticator = ClosureAuthenticator { request in
                    request.data == [1]
                        ? .accepted(Principal(tenant: .standard, user: ""))
                        : .refused(.notAuthorized("again"))
                }
            },
            play: { stage in
                let client = stage.client("client") {
                    $0.properties.authenticationMethod = Array("M".utf8)
                    $0.properties.authenticationData = [1]
                }
                client.sendRaw(
                    Greeting.packet(
                        0xF0, [0x19] + Greeting.measured([0x15] + Greeting.text("M"))))
            }),
        sends(
            "[event noPubPermission] QoS 0 to a forbidden topic",
            .noPubPermission(topic: "closed", qos: 0, retain: true),
            rules: "deny publish closed\ndefault allow\n",
            Greeting.publish("closed", retain: true)),
        sends(
            "[event protocolViolation] a second CONNECT",
            .protocolViolation(
                statement: "packet type that this version or direction does not have "),
            Greeting.connect(.v5, "client")),
        sends(
            "[event exceedReceivingLimit] more open publishes than announced",
            .exceedReceivingLimit(limit: 2), settings: ["ReceivingMaximum": "2"],
            (1...3 as ClosedRange<UInt16>).flatMap {
                Greeting.publish("a", qos: .exactlyOnce, packetID: $0)
            }),
        sends(
            "[event exceedPubRate] two publishes where one a second is allowed",
            .exceedPubRate(limit: 1), settings: ["MsgPubPerSec": "1"],
            Greeting.publish("a") + Greeting.publish("a")),
        sends(
            "[event tooLargeSubscription] more filters than allowed",
            .tooLargeSubscription(max: 3, actual: 4), settings: ["MaxTopicFiltersPerSub": "3"],
            filters(0x82, 4)),
        sends(
            "[event tooLargeUnsubscription] more filters than allowed",
            .tooLargeUnsubscription(max: 3, actual: 5), settings: ["MaxTopicFiltersPerSub": "3"],
            filters(0xA2, 5)),
    ]
}

extension RigStage {
    /// A client that acknowledges nothing gets more than its queue holds.
    func overflow(_ version: ProtocolVersion = .v5, messages: Int = 6) {
        let client = client("client", to: 1, version: version) {
            $0.properties.receiveMaximum = 1
        }
        client.acknowledges = false
        _ = subscribe(client, "a", qos: .atLeastOnce)
        let publisher = self.client("publisher")
        for number in 0..<messages { publisher.publish("a", "\(number)", qos: .atLeastOnce) }
        settle([client, publisher]) { publisher.sending.isEmpty }
    }
}
