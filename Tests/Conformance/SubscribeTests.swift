import MQTT
import Testing

/// SUBSCRIBE and UNSUBSCRIBE, and what they do to deliveries.
@Suite("Subscribing", .waiting)
struct SubscribeTests {
    static let versions: [ProtocolVersion] = [.v5, .v311]

    private func options(_ qos: QoS) -> SubscriptionOptions {
        SubscriptionOptions(
            maximumQoS: qos, noLocal: false, retainAsPublished: false, retainHandling: .send)
    }

    private func entry(_ filter: String, _ qos: QoS = .exactlyOnce) -> SubscribeRequest.Entry {
        SubscribeRequest.Entry(filter: Array(filter.utf8), options: options(qos))
    }

    @Test(
        """
        [MQTT-3.8.4-1, MQTT-3.8.4-2, MQTT-3.8.4-5, MQTT-3.8.4-6, MQTT-3.8.4-7, MQTT-2.2.1-6] \
        [MQTT-3.9.3-1, MQTT-3.9.3-2] [v3 MQTT-3.8.4-1, MQTT-3.8.4-2, MQTT-3.8.4-4, MQTT-3.8.4-5] \
        [v3 MQTT-3.9.3-1, MQTT-3.9.3-2, MQTT-2.3.1-7] SUBSCRIBE is answered by one SUBACK with a \
        code for each filter, in order
        """, arguments: Host.all, versions)
    func subackAnswersEachFilter(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        for client in [
            try scene.connected("a", version), try scene.kept("b", version).client,
        ] {
            let suback = try client.subscribe(
                SubscribeRequest(
                    packetID: 0xABCD,
                    entries: [
                        entry(scene.topic("0"), .atMostOnce), entry("wrong#"),
                        entry(scene.topic("2"), .exactlyOnce), entry("a/#/b"),
                        entry(scene.topic("1"), .atLeastOnce),
                    ]))
            let bad: ReasonCode = version == .v5 ? .topicFilterInvalid : .unspecifiedError
            #expect(suback.packetID == 0xABCD)
            #expect(suback.reasonCodes == [.grantedQoS0, bad, .grantedQoS2, bad, .grantedQoS1])
            try scene.connected("p").publish(scene.topic("1"), "one")
            #expect(try client.receive().text == "one")
        }
    }

    @Test(
        """
        [MQTT-3.8.4-8] [v3 MQTT-3.8.4-6] a message comes at the lower of its QoS and the granted \
        QoS
        """, arguments: Host.all, versions)
    func lowerQoSWins(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        for client in [
            try scene.connected("a", version), try scene.kept("b", version).client,
        ] {
            for granted in QoS.allCases {
                try client.subscribe(scene.topic("\(granted)"), qos: granted)
                for sent in QoS.allCases {
                    try publisher.publish(scene.topic("\(granted)"), "\(sent)", qos: sent)
                    let arrival = try client.receive()
                    #expect(arrival.text == "\(sent)")
                    #expect(arrival.qos == min(granted, sent))
                }
            }
        }
    }

    @Test(
        """
        [MQTT-3.8.4-3] [v3 MQTT-3.8.4-3] SUBSCRIBE with an existing filter replaces that \
        subscription
        """, arguments: Host.all, versions)
    func subscriptionIsReplaced(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        for client in [
            try scene.connected("a", version), try scene.kept("b", version).client,
        ] {
            try client.subscribe(scene.topic(), qos: .atMostOnce, id: version == .v5 ? 1 : 0)
            try client.subscribe(scene.topic(), qos: .atLeastOnce, id: version == .v5 ? 2 : 0)
            try publisher.publish(scene.topic(), "once")
            let arrival = try client.receive()
            #expect(arrival.qos == .atLeastOnce)
            #expect(arrival.subscriptionIDs == (version == .v5 ? [2] : []))
            try client.expectNothing()
            try client.unsubscribe(scene.topic())
            try publisher.publish(scene.topic(), "no more")
            try client.expectNothing()
        }
    }

    // MARK: Options of 5.0

    @Test(
        "[MQTT-3.8.3-3] no local: a message does not return to the client that published it",
        arguments: Host.all)
    func noLocal(host: Host) throws {
        let scene = Scene(host)
        let other = try scene.connected("other")
        for client in [try scene.connected("a"), try scene.kept("b").client] {
            try client.subscribe(scene.topic("one"), noLocal: true)
            try client.subscribe(scene.topic("two"))
            for qos in QoS.allCases {
                try client.publish(scene.topic("one"), "own", qos: qos)
            }
            try client.publish(scene.topic("two"), "own, wanted")
            try other.publish(scene.topic("one"), "foreign")
            #expect(try client.receive(count: 2) == ["own, wanted", "foreign"])
            try client.expectNothing()
        }
    }

    @Test(
        """
        [MQTT-3.3.1-12, MQTT-3.3.1-13] RETAIN of a forwarded message is 0, or as published where \
        that is asked for
        """, arguments: Host.all)
    func retainAsPublished(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        let clients = [try scene.connected("a"), try scene.kept("b").client]
        for client in clients {
            try client.subscribe(scene.topic("zero/+"))
            try client.subscribe(scene.topic("as/+"), asPublished: true)
            try client.expectNothing()
        }
        for (name, expected) in [("zero/t", [false, false]), ("as/t", [false, true])] {
            for (retain, wanted) in zip([false, true], expected) {
                try publisher.publish(scene.topic(name), "x", retain: retain)
                for client in clients { #expect(try client.receive().retain == wanted) }
            }
            try publisher.publish(scene.topic(name), retain: true)
            for client in clients { #expect(try client.receive().text.isEmpty) }
        }
    }

    // MARK: Overlapping subscriptions

    @Test(
        """
        [MQTT-3.3.4-2] [v3 MQTT-3.3.5-1] overlapping subscriptions deliver at the highest of their \
        QoS
        """, arguments: Host.all, versions)
    func highestQoSOfOverlap(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        for client in [
            try scene.connected("a", version), try scene.kept("b", version).client,
        ] {
            try client.subscribe(scene.topic("#"), qos: .atMostOnce)
            try client.subscribe(scene.topic("x"), qos: .exactlyOnce)
            try client.subscribe(scene.topic("+"), qos: .atLeastOnce)
            try publisher.publish(scene.topic("x"), "x", qos: .exactlyOnce)
            #expect(try client.receive().qos == .exactlyOnce)
            try client.expectNothing()
            try publisher.publish(scene.topic("y"), "y", qos: .exactlyOnce)
            #expect(try client.receive().qos == .atLeastOnce)
            try client.expectNothing()
        }
    }

    @Test(
        """
        [MQTT-3.3.4-3, MQTT-3.3.4-4] the one copy of overlapping subscriptions carries the \
        identifiers of all that have one
        """, arguments: Host.all)
    func identifiersOfOverlap(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        for client in [try scene.connected("a"), try scene.kept("b").client] {
            try client.subscribe(scene.topic("#"), id: 1)
            try client.subscribe(scene.topic("+"), id: 268_435_455)
            try client.subscribe(scene.topic("x"))
            try client.subscribe(scene.topic("other"), id: 3)
            try publisher.publish(scene.topic("x"), "x")
            #expect(Set(try client.receive().subscriptionIDs) == [1, 268_435_455])
            try client.expectNothing()
        }
    }

    @Test(
        """
        [MQTT-3.8.3-3] where filters overlap, those without no local return the client's own \
        message
        """, arguments: Host.all)
    func noLocalOfOverlap(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        for client in [try scene.connected("a"), try scene.kept("b").client] {
            try client.subscribe(scene.topic("x"), id: 1, noLocal: true)
            try client.subscribe(scene.topic("+"), id: 2, noLocal: true)
            try client.publish(scene.topic("x"), "own")
            try client.expectNothing()
            try client.subscribe(scene.topic("#"), id: 3)
            try client.publish(scene.topic("x"), "own")
            #expect(try client.receive().subscriptionIDs == [3])
            try publisher.publish(scene.topic("x"), "foreign")
            #expect(Set(try client.receive().subscriptionIDs) == [1, 2, 3])
            try client.expectNothing()
            try client.unsubscribe(scene.topic("x"), scene.topic("+"), scene.topic("#"))
        }
    }

    @Test(
        """
        [MQTT-3.3.1-13] where filters overlap, RETAIN is as published if one of them asks for that
        """, arguments: Host.all)
    func retainAsPublishedOfOverlap(host: Host) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p")
        for client in [try scene.connected("a"), try scene.kept("b").client] {
            try client.subscribe(scene.topic("x"))
            try client.subscribe(scene.topic("+"), asPublished: true)
            try client.expectNothing()
            try publisher.publish(scene.topic("x"), "kept", retain: true)
            #expect(try client.receive().retain)
            try publisher.publish(scene.topic("x"), "plain")
            #expect(try !client.receive().retain)
            try client.unsubscribe(scene.topic("+"))
            try client.subscribe(scene.topic("#"), retained: .doNotSend)
            try publisher.publish(scene.topic("x"), retain: true)
            #expect(try !client.receive().retain)
            try client.expectNothing()
            try client.unsubscribe(scene.topic("x"), scene.topic("#"))
        }
    }

    @Test(
        """
        [MQTT-3.3.4-5] the copy of a shared subscription carries its own identifier
        """, arguments: Host.all)
    func identifierOfSharedCopy(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected()
        try client.subscribe(scene.topic("x"), id: 1)
        try client.subscribe("$share/g/" + scene.topic("x"), id: 2)
        try scene.connected("p").publish(scene.topic("x"), "x")
        let ids = [try client.receive().subscriptionIDs, try client.receive().subscriptionIDs]
        #expect(Set(ids) == [[1], [2]])
        try client.expectNothing()
    }

    // MARK: Unsubscribing

    @Test(
        """
        [MQTT-3.10.4-1, MQTT-3.10.4-2, MQTT-3.10.4-4] \
        [v3 MQTT-3.10.4-1, MQTT-3.10.4-2, MQTT-3.10.4-4] the subscription with exactly that filter \
        ends, and others stay
        """, arguments: Host.all, versions)
    func exactFilterIsDeleted(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        for client in [
            try scene.connected("a", version), try scene.kept("b", version).client,
        ] {
            try client.subscribe(scene.topic("a/+"), scene.topic("a/b"), scene.topic("A/b"))
            try client.unsubscribe(scene.topic("a/+"))
            try publisher.publish(scene.topic("a/c"), "no")
            try publisher.publish(scene.topic("a/b"), "yes")
            try publisher.publish(scene.topic("A/b"), "yes too")
            #expect(try client.receive(count: 2).sorted() == ["yes", "yes too"])
            try client.unsubscribe(scene.topic("a/b"))
            try publisher.publish(scene.topic("a/b"), "no")
            try publisher.publish(scene.topic("A/b"), "still")
            #expect(try client.receive().text == "still")
            try client.expectNothing()
        }
    }

    @Test(
        """
        [MQTT-3.10.4-5, MQTT-3.10.4-6, MQTT-3.11.3-1, MQTT-3.11.3-2, MQTT-2.2.1-6] \
        [v3 MQTT-3.10.4-5, MQTT-3.10.4-6, MQTT-2.3.1-7] several filters are answered by one \
        UNSUBACK, also those that were not subscribed
        """, arguments: Host.all, versions)
    func unsubackAnswersEachFilter(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        for client in [
            try scene.connected("a", version), try scene.kept("b", version).client,
        ] {
            try client.subscribe(scene.topic("1"), scene.topic("2"))
            let first = try client.unsubscribe(
                scene.topic("none"), scene.topic("2"), "a#", scene.topic("1"))
            if version == .v5 {
                #expect(
                    first.reasonCodes == [
                        .noSubscriptionExisted, .success, .topicFilterInvalid, .success,
                    ])
            }
            let second = try client.unsubscribe(scene.topic("1"))
            #expect(second.reasonCodes == (version == .v5 ? [.noSubscriptionExisted] : []))
            try scene.connected("p").publish(scene.topic("1"), "no")
            try client.expectNothing()
        }
    }

    @Test(
        """
        [MQTT-3.10.4-3] [v3 MQTT-3.10.4-3] QoS 1 and 2 deliveries that have begun are completed \
        after UNSUBSCRIBE
        """, arguments: Host.all, versions)
    func begunDeliveriesAreCompleted(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let publisher = try scene.connected("p", version)
        let (client, _) = try scene.kept("a", version)
        try client.subscribe(scene.topic())
        try publisher.publish(scene.topic(), "1", qos: .exactlyOnce)
        try publisher.publish(scene.topic(), "2", qos: .atLeastOnce)
        let first = try client.message()
        let second = try client.message()
        try client.unsubscribe(scene.topic())
        client.send(.pubrec, first.packetID)
        #expect(try client.acknowledged(.pubrel, first.packetID) == .success)
        // What is open on the next connection is completed there.
        client.cut()
        let (again, present) = try scene.kept("a", version)
        #expect(present)
        #expect(try again.acknowledged(.pubrel, first.packetID) == .success)
        let repeated = try again.message()
        #expect(repeated.packetID == second.packetID && repeated.dup && repeated.text == "2")
        again.send(.puback, second.packetID)
        again.send(.pubcomp, first.packetID)
        try again.expectNothing()
    }

    // MARK: Ping, switched-off features

    @Test(
        "[MQTT-3.12.4-1] [v3 MQTT-3.12.4-1] PINGREQ is answered", arguments: Host.all, versions)
    func pingIsAnswered(host: Host, version: ProtocolVersion) throws {
        let client = try Scene(host).connected("a", version)
        for _ in 0..<3 { try client.expectNothing() }
    }

    @Test(
        """
        [v3 MQTT-3.8.3-2] where wildcards are not supported, a filter with one is rejected
        """, arguments: Host.all)
    func wildcardsAreRejected(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", .v311) { $0.username = Array("plain/u".utf8) }
        let suback = try client.subscribe(scene.topic("#"), scene.topic("+"), "plain")
        #expect(suback.reasonCodes == [.unspecifiedError, .unspecifiedError, .grantedQoS2])
    }
}
