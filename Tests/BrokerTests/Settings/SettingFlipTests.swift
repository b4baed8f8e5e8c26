import Base
import Broker
import MQTT
import Policy
import Simulation
import Testing

/// Each setting that decides the answer to a packet: the same thing done before and after it is
/// changed, by clients that stay connected (or by the next CONNECT, where only that is concerned).
@Suite("Settings that decide an answer")
struct SettingFlipTests {
    /// One setting, what is done, and what is answered before and after.
    struct Flip: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var setting: String
        var value: String
        var answers: (before: String, after: String)
        /// The 5.0 client has a stored session.
        var isStored: Bool
        /// Does it once; the clients are a 5.0 and a 3.1.1 one, connected all the time.
        var act: @Sendable (SettingRig, Pair) -> String

        init(
            _ title: String, _ setting: String, _ value: String, _ before: String,
            _ after: String, isStored: Bool = false,
            act: @escaping @Sendable (SettingRig, Pair) -> String
        ) {
            testDescription = title
            self.setting = setting
            self.value = value
            answers = (before, after)
            self.isStored = isStored
            self.act = act
        }
    }

    /// The clients that were there before the change.
    struct Pair {
        let newer: RigClient
        let older: RigClient
    }

    /// What CONNACK said to a new 5.0 client.
    private static func connack(
        _ rig: SettingRig, expiry: UInt32 = 0, keepAlive: UInt16 = 0,
        _ read: (ConnackProperties) -> Any?
    ) -> String {
        let client = rig.connect(to: 1, expiry: expiry) { $0.keepAlive = keepAlive }
        guard let properties = client.connack?.properties else { return "closed" }
        return read(properties).map { "\($0)" } ?? "as asked"
    }

    private static func connects(
        _ rig: SettingRig, _ id: String? = nil, _ version: ProtocolVersion = .v5,
        expiry: UInt32 = 0, user: String = "", change: (inout ConnectPacket) -> Void = { _ in }
    ) -> String {
        rig.outcome(
            ofConnect: rig.connect(id, version, to: 2, expiry: expiry, user: user, change: change))
    }

    private static func will(_ size: Int) -> WillMessage {
        WillMessage(
            topic: Array("w".utf8), payload: [UInt8](repeating: 1, count: size), qos: .atMostOnce,
            retain: false)
    }

    /// Twice within the same second; the second answer.
    private static func twice(_ body: () -> String) -> String {
        _ = body()
        return body()
    }

    static let connections: [Flip] = [
        Flip(
            "[setting ForceTransient] sessions end with their connections", "ForceTransient",
            "true", "as asked", "0"
        ) { rig, _ in connack(rig, expiry: 100) { $0.sessionExpiryInterval } },
        Flip(
            "[setting MaxSessionExpirySeconds] a long expiry is cut", "MaxSessionExpirySeconds",
            "50", "as asked", "50"
        ) { rig, _ in connack(rig, expiry: 100) { $0.sessionExpiryInterval } },
        Flip(
            "[setting MinSessionExpirySeconds] a short expiry is raised",
            "MinSessionExpirySeconds", "500", "as asked", "500"
        ) { rig, _ in connack(rig, expiry: 100) { $0.sessionExpiryInterval } },
        Flip(
            "[setting MinKeepAliveSeconds] a short keep alive is raised", "MinKeepAliveSeconds",
            "30", "as asked", "30"
        ) { rig, _ in connack(rig, keepAlive: 10) { $0.serverKeepAlive } },
        Flip(
            "[setting MaxTopicAlias] as many aliases as CONNACK says", "MaxTopicAlias", "3",
            "10", "3"
        ) { rig, _ in connack(rig) { $0.topicAliasMaximum } },
        Flip(
            "[setting ReceivingMaximum] as many open publishes as CONNACK says",
            "ReceivingMaximum", "7", "200", "7"
        ) { rig, _ in connack(rig) { $0.receiveMaximum } },
        Flip(
            "[setting MaxUserPayloadBytes] packets as large as CONNACK says",
            "MaxUserPayloadBytes", "1000", "262144", "1000"
        ) { rig, _ in connack(rig) { $0.maximumPacketSize } },
        Flip(
            "[setting MaxUserPayloadBytes] [refusal C07] a CONNECT above the limit",
            "MaxUserPayloadBytes", "100", "0x0", "0x95"
        ) { rig, _ in connects(rig) { $0.will = will(200) } },
        Flip(
            "[setting MaxLastWillBytes] [refusal C28] a large will", "MaxLastWillBytes", "10",
            "0x0", "0x97"
        ) { rig, _ in connects(rig) { $0.will = will(20) } },
        Flip(
            "[setting MaxClientIdBytes] [refusal C08] a long client id", "MaxClientIdBytes",
            "23", "0x0", "0x85"
        ) { rig, _ in connects(rig, String(repeating: "c", count: 24) + "\(rig.next())") },
        Flip(
            "[setting ClientIdBoundToPrincipal] [refusal C10] another user's client id",
            "ClientIdBoundToPrincipal", "false", "0x85", "0x0"
        ) { rig, _ in
            let id = "bound-\(rig.next())"
            _ = connects(rig, id, expiry: 100, user: "anna")
            return connects(rig, id, expiry: 100, user: "ben")
        },
        Flip(
            "[setting TotalConnections] [refusal C18] more connections than the tenant may have",
            "TotalConnections", "2", "0x0", "0x97"
        ) { rig, _ in
            let client = rig.connect(to: 1)
            defer { rig.end(client) }
            return rig.outcome(ofConnect: client)
        },
        Flip(
            "[setting TotalConnections] [refusal C18] the same, 3.1.1", "TotalConnections", "2",
            "0x0", "0x88"
        ) { rig, _ in
            let client = rig.connect(nil, .v311, to: 1)
            defer { if client.link != nil { rig.end(client) } }
            return rig.outcome(ofConnect: client)
        },
        Flip(
            "[setting TotalSessionMemoryBytes] [refusal C18] the tenant's memory is used up",
            "TotalSessionMemoryBytes", "100", "0x0", "0x97"
        ) { rig, _ in connects(rig) },
        Flip(
            "[setting TotalConnectPerSecond] [refusal C19] the tenant connects too fast",
            "TotalConnectPerSecond", "1", "0x0", "0x9F"
        ) { rig, _ in twice { connects(rig) } },
        Flip(
            "[setting TotalPersistentSessions] [refusal C20] the tenant's stored sessions",
            "TotalPersistentSessions", "1", "0x0", "0x97"
        ) { rig, _ in connects(rig, expiry: 100) },
        Flip(
            "[setting TotalPersistentSessions] [refusal C20] the same, 3.1.1",
            "TotalPersistentSessions", "1", "0x0", "0x88"
        ) { rig, _ in connects(rig, nil, .v311, expiry: 100) },
        Flip(
            "[setting TotalPersistentSessionSpaceBytes] [refusal C20] the space of stored sessions",
            "TotalPersistentSessionSpaceBytes", "100", "0x0", "0x97"
        ) { rig, _ in connects(rig, expiry: 100) },
    ]

    static let publishes: [Flip] = [
        Flip(
            "[setting PayloadFormatValidationEnabled] a payload that is not the text it claims",
            "PayloadFormatValidationEnabled", "false", "0x99", "0x10"
        ) { rig, live in rig.publish(live.newer, forwarding: [1, 1], [0xFF]) },
        Flip(
            "[setting RetainEnabled] a retained message", "RetainEnabled", "false", "0x10",
            "DISCONNECT 0x9A"
        ) { rig, live in rig.publish(live.newer, "a", retain: true) },
        Flip(
            "[setting MaximumQoS] a publish of QoS 2", "MaximumQoS", "1", "0x0",
            "DISCONNECT 0x9B"
        ) { rig, live in rig.publish(live.newer, "a", qos: .exactlyOnce) },
        Flip(
            "[setting MaxTopicLevelLength] a long level", "MaxTopicLevelLength", "3", "0x10",
            "0x90"
        ) { rig, live in rig.publish(live.newer, "a/bcde") },
        Flip(
            "[setting MaxTopicLevels] many levels", "MaxTopicLevels", "2", "0x10", "0x90"
        ) { rig, live in rig.publish(live.newer, "a/b/c") },
        Flip(
            "[setting MaxTopicLength] a long topic", "MaxTopicLength", "5", "0x10", "0x90"
        ) { rig, live in rig.publish(live.newer, "a/b/c/d") },
        Flip(
            "[setting MsgPubPerSec] publishes in quick succession", "MsgPubPerSec", "1", "0x10",
            "DISCONNECT 0x96"
        ) { rig, live in twice { rig.publish(live.newer, "a") } },
        Flip(
            "[setting MaxUserProperties] a user property", "MaxUserProperties", "0", "0x10",
            "DISCONNECT 0x97"
        ) { rig, live in rig.publish(live.newer, forwarding: [38, 0, 1, 97, 0, 1, 98], [1]) },
        Flip(
            "[setting TotalRetainTopics] [refusal P17] a topic more that retains",
            "TotalRetainTopics", "1", "0x10", "0x97"
        ) { rig, live in rig.publish(live.newer, "r/\(rig.next())", retain: true) },
        Flip(
            "[setting TotalRetainTopics] [refusal P17] the same, 3.1.1", "TotalRetainTopics",
            "1", "0x0", "closed"
        ) { rig, live in rig.publish(live.older, "r/\(rig.next())", retain: true) },
        Flip(
            "[setting TotalRetainMessageSpaceBytes] [refusal P17] a larger message that retains",
            "TotalRetainMessageSpaceBytes", "100", "0x10", "0x97"
        ) { rig, live in
            let filler = String(repeating: "x", count: 60 + 10 * rig.next())
            return rig.publish(live.newer, "r/one", filler, retain: true)
        },
        Flip(
            "[setting TotalRetainedMessagesPerSeconds] [refusal P17] retained messages too fast",
            "TotalRetainedMessagesPerSeconds", "1", "0x10", "0x97"
        ) { rig, live in twice { rig.publish(live.newer, "r/a", retain: true) } },
        Flip(
            "[setting TotalRetainedBytesPerSecond] [refusal P17] bytes of retained messages",
            "TotalRetainedBytesPerSecond", "10", "0x10", "0x97"
        ) { rig, live in twice { rig.publish(live.newer, "r/a", retain: true) } },
    ]

    static let subscriptions: [Flip] = [
        Flip(
            "[setting WildcardSubscriptionEnabled] a wildcard", "WildcardSubscriptionEnabled",
            "false", "0x2", "0xA2"
        ) { rig, live in rig.subscribe(live.newer, "a/+") },
        Flip(
            "[setting SubscriptionIdentifierEnabled] a subscription identifier",
            "SubscriptionIdentifierEnabled", "false", "0x2", "0xA1"
        ) { rig, live in rig.subscribe(live.newer, "a", subscriptionID: 5) },
        Flip(
            "[setting SharedSubscriptionEnabled] a shared subscription",
            "SharedSubscriptionEnabled", "false", "0x2", "0x9E"
        ) { rig, live in rig.subscribe(live.newer, "$share/g/a") },
        Flip(
            "[setting MQTT3SharedSubscriptionEnabled] a shared subscription of a 3.1.1 client",
            "MQTT3SharedSubscriptionEnabled", "false", "0x2", "0x80"
        ) { rig, live in rig.subscribe(live.older, "$share/g/a") },
        Flip(
            "[setting MaxSharedGroupMembers] [refusal S13] one more member of a group",
            "MaxSharedGroupMembers", "1", "0x2", "0x97"
        ) { rig, live in
            let filter = "$share/g\(rig.next())/a"
            _ = rig.subscribe(live.older, filter)
            return rig.subscribe(live.newer, filter)
        },
        Flip(
            "[setting MaxTopicFiltersPerInbox] one more subscription of a session",
            "MaxTopicFiltersPerInbox", "1", "0x2", "0x97"
        ) { rig, live in rig.subscribe(live.newer, "a/\(rig.next())") },
        Flip(
            "[setting MaxTopicFiltersPerSub] many filters in one packet", "MaxTopicFiltersPerSub",
            "1", "0x2,0x2", "DISCONNECT 0x97"
        ) { rig, live in rig.subscribe(live.newer, "a", "b") },
        Flip(
            "[setting TotalTransientSubscriptions] [refusal S11] one more, of those that end",
            "TotalTransientSubscriptions", "3", "0x2,0x2", "0x2,0x97"
        ) { rig, live in
            rig.subscribe(live.newer, "a/\(rig.next())", "b/\(rig.next())")
        },
        Flip(
            "[setting TotalTransientSubscriptions] [refusal S11] the same, 3.1.1",
            "TotalTransientSubscriptions", "1", "0x2", "0x80"
        ) { rig, live in rig.subscribe(live.older, "a/\(rig.next())") },
        Flip(
            "[setting TotalSharedSubscriptions] [refusal S11] one more that is shared",
            "TotalSharedSubscriptions", "1", "0x2", "0x97"
        ) { rig, live in rig.subscribe(live.newer, "$share/g/a/\(rig.next())") },
        Flip(
            "[setting TotalTransientSubscribePerSecond] [refusal S12] two filters at once",
            "TotalTransientSubscribePerSecond", "1", "0x2,0x2", "0x2,0x97"
        ) { rig, live in rig.subscribe(live.newer, "a", "b") },
        Flip(
            "[setting TotalTransientUnsubscribePerSecond] [refusal U05] one after the other",
            "TotalTransientUnsubscribePerSecond", "1", "0x11", "0x83"
        ) { rig, live in twice { rig.unsubscribe(live.newer, "a") } },
        Flip(
            "[setting TotalTransientUnsubscribePerSecond] [refusal U05] the same, 3.1.1",
            "TotalTransientUnsubscribePerSecond", "1", "", "closed"
        ) { rig, live in twice { rig.unsubscribe(live.older, "a") } },
        Flip(
            "[setting TotalPersistentSubscriptions] [refusal S11] one more of a stored session",
            "TotalPersistentSubscriptions", "3", "0x2,0x2", "0x2,0x97", isStored: true
        ) { rig, live in
            rig.subscribe(live.newer, "a/\(rig.next())", "b/\(rig.next())")
        },
        Flip(
            "[setting TotalPersistentSubscriptions] one that only replaces is no new one",
            "TotalPersistentSubscriptions", "1", "0x2,0x2", "0x2,0x2", isStored: true
        ) { rig, live in rig.subscribe(live.newer, "a", "b") },
        Flip(
            "[setting TotalSharedSubscriptions] [refusal S11] a stored session's that is shared",
            "TotalSharedSubscriptions", "1", "0x2", "0x97", isStored: true
        ) { rig, live in rig.subscribe(live.newer, "$share/g/a/\(rig.next())") },
        Flip(
            "[setting TotalPersistentSubscribePerSecond] [refusal S12] two filters at once",
            "TotalPersistentSubscribePerSecond", "1", "0x2,0x2", "0x2,0x97", isStored: true
        ) { rig, live in rig.subscribe(live.newer, "a", "b") },
        Flip(
            "[setting TotalPersistentUnsubscribePerSecond] [refusal U05] one after the other",
            "TotalPersistentUnsubscribePerSecond", "1", "0x11", "0x83", isStored: true
        ) { rig, live in twice { rig.unsubscribe(live.newer, "a") } },
        Flip(
            "[setting TotalRetainMatchPerSeconds] [refusal S14] retained messages read",
            "TotalRetainMatchPerSeconds", "1", "0x2", "0x97"
        ) { rig, live in readsRetained(rig, live) },
        Flip(
            "[setting TotalRetainMatchBytesPerSecond] [refusal S14] bytes of those read",
            "TotalRetainMatchBytesPerSecond", "20", "0x2", "0x97"
        ) { rig, live in readsRetained(rig, live) },
    ]

    /// A second subscription to what retains, right after the first one's.
    private static func readsRetained(_ rig: SettingRig, _ live: Pair) -> String {
        for topic in ["r/1", "r/2"] { _ = rig.publish(live.older, topic, retain: true) }
        return twice {
            let answer = rig.subscribe(live.newer, "r/#")
            rig.pass()
            return answer
        }
    }

    @Test("a changed setting is heard", arguments: connections + publishes + subscriptions)
    func flips(flip: Flip) throws {
        let rig = try SettingRig()
        let pair = Pair(
            newer: rig.connect("newer", expiry: flip.isStored ? 100 : 0),
            older: rig.connect("older", .v311, to: 1))
        #expect(pair.newer.isConnected && pair.older.isConnected)
        #expect(flip.act(rig, pair) == flip.answers.before)
        try rig.set([flip.setting: flip.value])
        // Rates have their tokens again.
        rig.rig.skip(.seconds(2))
        #expect(flip.act(rig, pair) == flip.answers.after)
    }
}
