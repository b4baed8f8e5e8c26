import MQTT
import Testing

/// Topic names, topic filters, and shared subscriptions.
@Suite("Topics", .waiting)
struct TopicTests {
    static let versions: [ProtocolVersion] = [.v5, .v311]

    @Test(
        """
        [MQTT-3.3.2-3] [v3 MQTT-3.3.2-3] what is delivered matches the filter, and comes under its \
        own name
        """, arguments: Host.all, versions)
    func deliveriesMatch(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        let names = ["a", "a/b", "a/b/c", "a/", "/", "b", "a/b/d", "A"]
        let expected: [String: Set<String>] = [
            "a/#": ["a", "a/b", "a/b/c", "a/", "a/b/d"], "a/+": ["a/b", "a/"],
            "+": ["a", "b", "A"],
            "+/+": ["a/b", "a/", "/"], "a/+/c": ["a/b/c"], "/#": ["/"], "#": Set(names),
        ]
        let end = scene.topic("end")
        let clients = try expected.keys.enumerated().map { index, filter in
            let client = try scene.connected("\(index)", version)
            try client.subscribe(scene.topic("t/" + filter))
            try client.subscribe(end)
            return (filter, client)
        }
        for name in names { try publisher.publish(scene.topic("t/" + name), "x") }
        try publisher.publish(end)
        for (filter, client) in clients {
            var got: Set<String> = []
            while true {
                let topic = try client.receive().topic
                if topic == end { break }
                #expect(got.insert(String(topic.dropFirst(scene.topic("t/").count))).inserted)
            }
            // "#" also matches its parent level, which nobody published to.
            #expect(got == expected[filter], "\(filter)")
        }
    }

    @Test(
        """
        [MQTT-1.5.4-3, MQTT-4.7.3-4] [v3 MQTT-1.5.3-3, MQTT-4.7.3-4] names are compared byte by \
        byte: nothing is normalised, substituted or stripped
        """, arguments: Host.all, versions)
    func namesAreBytes(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        let levels = [
            "caf\u{E9}", "cafe\u{301}", "CAF\u{C9}", "\u{FEFF}a", "a", " a", "a\u{FEFF}", "ﬀ", "ff",
            "\u{1F426}", "a b", "a ",
        ]
        for level in levels {
            let client = try scene.connected("a", version)
            try client.subscribe(scene.topic(level))
            for other in levels { try publisher.publish(scene.topic(other), other) }
            let arrival = try client.receive()
            #expect(Array(arrival.topic.utf8) == Array(scene.topic(level).utf8))
            #expect(Array(arrival.payload) == Array(level.utf8))
            try client.expectNothing()
        }
    }

    @Test(
        """
        [MQTT-4.7.3-3] [v3 MQTT-4.7.3-3] names and filters may have 65,535 bytes, and have no more
        """, arguments: Host.all, versions)
    func longestName(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", version)
        let room = 65_535 - scene.topic("").utf8.count
        let longest = scene.topic(String(repeating: "x", count: room))
        let suback = try client.subscribe(longest)
        #expect(suback.reasonCodes == [.grantedQoS2])
        try client.publish(longest, "long")
        let arrival = try client.receive()
        #expect(arrival.topic == longest)
        #expect(arrival.text == "long")
    }

    @Test(
        """
        [MQTT-4.7.1-1, MQTT-4.7.1-2, MQTT-4.7.3-1, MQTT-4.8.2-1, MQTT-4.8.2-2] \
        [v3 MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-4.7.3-1] filters that are none are refused in SUBACK
        """, arguments: Host.all, versions)
    func wrongFilters(host: Host, version: ProtocolVersion) throws {
        let client = try Scene(host).connected("a", version)
        let filters = [
            "a#", "#/a", "a/#/b", "##", "a+", "+a/b", "a/++", "$share/", "$share//a",
            "$share/g", "$share/g/", "$share/g+/a", "$share/g#/a", "$share/+/a",
        ]
        for filter in filters {
            let code = try client.subscribe(filter).reasonCodes
            #expect(
                code == [version == .v5 ? .topicFilterInvalid : .unspecifiedError], "\(filter)")
        }
        #expect(try client.subscribe("$share/g/a/#", "/", "+/+").reasonCodes.count == 3)
    }

    @Test("[MQTT-4.7.3-1] a filter without a character is a protocol error", arguments: Host.all)
    func emptyFilter(host: Host) throws {
        let client = try Scene(host).connected()
        let request = SubscribeRequest(
            packetID: 1, entries: [.init(filter: [], options: SubscriptionOptions(rawValue: 0))])
        client.send { request.encode(.v5, into: &$0) }
        try client.expectRefusal(.protocolError)
    }

    @Test(
        """
        [MQTT-4.7.2-1] [v3 MQTT-4.7.2-1] a filter that begins with a wildcard does not match a \
        topic that begins with $, and what clients publish there goes nowhere
        """, arguments: Host.all, versions)
    func dollarTopics(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", version)
        #expect(try client.subscribe("$SYS/#").reasonCodes == [.grantedQoS2])
        #expect(try client.subscribe("$own/#", scene.topic("#")).reasonCodes.count == 2)
        let code: ReasonCode = version == .v5 ? .topicNameInvalid : .success
        for (packetID, name) in ["$SYS/", "$own/", "$share/g/"].enumerated() {
            let topic = name + scene.topic("x")
            client.sendPublish(topic)
            client.sendPublish(topic, qos: .atLeastOnce, packetID: UInt16(packetID + 1))
            #expect(try client.acknowledged(.puback, UInt16(packetID + 1)) == code, "\(name)")
        }
        try client.expectNothing()
    }

    // MARK: Shared subscriptions

    @Test(
        """
        [MQTT-4.8.2-3] each member of a shared subscription gets its part at its granted QoS, and \
        every message goes to one member
        """, arguments: Host.all, versions)
    func membersShare(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        let filter = "$share/g/" + scene.topic("+")
        let members = try QoS.allCases.map { qos in
            let client = try scene.connected("m\(qos)", version)
            #expect(try client.subscribe(filter, qos: qos).reasonCodes == [.granted(qos)])
            try client.subscribe(scene.topic("end/of/it"), qos: .atLeastOnce)
            return client
        }
        for number in 0..<30 {
            try publisher.publish(scene.topic("t"), "\(number)", qos: .exactlyOnce)
        }
        try publisher.publish(scene.topic("end/of/it"), "end")
        var got: [String] = []
        for (qos, member) in zip(QoS.allCases, members) {
            while true {
                let arrival = try member.receive()
                if arrival.text == "end" { break }
                #expect(arrival.qos == qos)
                got.append(arrival.text)
            }
        }
        #expect(got.sorted() == (0..<30).map(String.init).sorted())
    }

    @Test(
        """
        [MQTT-4.8.2-6] a message that a member refused with 0x80 or above goes to nobody else
        """, arguments: Host.all, [QoS.atLeastOnce, .exactlyOnce])
    func refusedGoesToNobody(host: Host, qos: QoS) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        let filter = "$share/g/" + scene.topic()
        let first = try scene.connected("a")
        try first.subscribe(filter)
        try publisher.publish(scene.topic(), "refused", qos: qos)
        let arrival = try first.message()
        let second = try scene.connected("b")
        try second.subscribe(filter)
        first.send(qos == .atLeastOnce ? .puback : .pubrec, arrival.packetID, .notAuthorized)
        try first.expectNothing()
        try first.unsubscribe(filter)
        #expect(try received(by: second, from: publisher, scene, qos) == ["next"])
        try second.expectNothing()
        try first.expectNothing()
    }

    /// Publishes until a message reaches the member: the group learns in its own time that another
    /// member is gone. Returns what came before the first round's end.
    private func received(
        by member: ScriptedClient, from publisher: ScriptedClient, _ scene: borrowing Scene,
        _ qos: QoS
    ) throws -> Set<String> {
        try member.subscribe(scene.topic("mark"))
        var got: Set<String> = []
        while got.isEmpty {
            try publisher.publish(scene.topic(), "next", qos: qos)
            try publisher.publish(scene.topic("mark"), "mark", qos: qos)
            while case let text = try member.receive().text, text != "mark" { got.insert(text) }
        }
        return got
    }

    @Test(
        """
        [MQTT-4.8.2-4] a QoS 2 delivery to a member that broke off is completed to that member
        """, arguments: Host.all)
    func begunDeliveryStaysWithMember(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        let filter = "$share/g/" + scene.topic()
        let (first, _) = try scene.kept("a")
        try first.subscribe(filter)
        try publisher.publish(scene.topic(), "begun", qos: .exactlyOnce)
        #expect(try first.message().text == "begun")
        let second = try scene.connected("b")
        try second.subscribe(filter)
        first.cut()
        let (again, present) = try scene.kept("a")
        #expect(present)
        let arrival = try again.receive()
        #expect(arrival.text == "begun" && arrival.dup)
        try second.expectNothing()
    }

    @Test(
        """
        [MQTT-4.8.2-5] if the member's session ends before, nobody else gets the QoS 2 message
        """, arguments: Host.all)
    func endedMemberTakesMessageAlong(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        let filter = "$share/g/" + scene.topic()
        let first = try scene.connected("a")
        try first.subscribe(filter)
        try publisher.publish(scene.topic(), "begun", qos: .exactlyOnce)
        #expect(try first.message().text == "begun")
        let second = try scene.connected("b")
        try second.subscribe(filter)
        try first.disconnect()
        let got = try received(by: second, from: publisher, scene, .exactlyOnce)
        #expect(got == ["next"])
        try second.expectNothing()
    }
}
