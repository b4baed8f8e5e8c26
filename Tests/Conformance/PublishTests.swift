import MQTT
import Testing

/// The exchanges of QoS 0, 1 and 2, in both directions.
@Suite("Publishing", .waiting)
struct PublishTests {
    static let versions: [ProtocolVersion] = [.v5, .v311]

    @Test(
        """
        [MQTT-3.3.4-1, MQTT-2.2.1-5, MQTT-4.3.2-4, MQTT-4.3.3-8, MQTT-4.3.3-11] \
        [v3 MQTT-3.3.4-1, MQTT-2.3.1-6, MQTT-4.3.2-2] each QoS has its answers, with the \
        identifier of the PUBLISH
        """, arguments: Host.all, versions)
    func publishIsAnswered(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", version)
        client.sendPublish(scene.topic(), "0")
        try client.expectNothing()
        client.sendPublish(scene.topic(), "1", qos: .atLeastOnce, packetID: 0xFFFF)
        let puback = try client.acknowledgement()
        #expect(puback.type == .puback && puback.packetID == 0xFFFF)
        client.sendPublish(scene.topic(), "2", qos: .exactlyOnce, packetID: 0x0102)
        let pubrec = try client.acknowledgement()
        #expect(pubrec.type == .pubrec && pubrec.packetID == 0x0102)
        client.send(.pubrel, 0x0102)
        let pubcomp = try client.acknowledgement()
        #expect(pubcomp.type == .pubcomp && pubcomp.packetID == 0x0102)
        #expect([puback, pubrec, pubcomp].allSatisfy { !$0.code.isFailure })
    }

    @Test(
        """
        [MQTT-3.4.2-1, MQTT-3.5.2-1, MQTT-3.6.2-1, MQTT-3.7.2-1] unknown identifiers are answered \
        with 0x92, and other acknowledgements are ignored
        """, arguments: Host.all)
    func unknownIdentifiers(host: Host) throws {
        let client = try Scene(host).connected()
        client.send(.pubrel, 77)
        #expect(
            try client.acknowledgement()
                == Acknowledgement(
                    type: .pubcomp, packetID: 77, code: .packetIdentifierNotFound, size: 5))
        client.send(.pubrec, 78)
        #expect(
            try client.acknowledgement()
                == Acknowledgement(
                    type: .pubrel, packetID: 78, code: .packetIdentifierNotFound, size: 5))
        client.send(.puback, 79)
        client.send(.pubcomp, 80)
        try client.expectNothing()
    }

    @Test(
        """
        [MQTT-4.3.2-5] [v3 MQTT-4.3.2-2] after PUBACK the identifier is a new message, whatever \
        DUP says
        """, arguments: Host.all, versions)
    func identifierIsUsedAgain(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher", version)
        try watcher.subscribe(scene.topic())
        let client = try scene.connected("a", version)
        for (number, dup) in [(1, false), (2, false), (3, true)] {
            client.sendPublish(
                scene.topic(), "\(number)", qos: .atLeastOnce, packetID: 5, dup: dup)
            #expect(try client.acknowledged(.puback, 5) == .success)
        }
        #expect(try watcher.receive(count: 3) == ["1", "2", "3"])
    }

    @Test(
        """
        [MQTT-4.3.3-10, MQTT-4.3.3-12] [v3 MQTT-4.3.3-2] QoS 2: until PUBREL a repeat is answered \
        and delivered to nobody; after PUBCOMP the identifier is a new message
        """, arguments: Host.all, versions)
    func repeatIsNotDelivered(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher", version)
        try watcher.subscribe(scene.topic())
        for isStored in [false, true] {
            let client =
                isStored
                ? try scene.kept("b", version).client : try scene.connected("a", version)
            for dup in [false, true, true] {
                client.sendPublish(
                    scene.topic(), "once", qos: .exactlyOnce, packetID: 9, dup: dup)
                #expect(try client.acknowledged(.pubrec, 9) == .success)
            }
            try client.release(9)
            client.sendPublish(
                scene.topic(), "again", qos: .exactlyOnce, packetID: 9, dup: true)
            #expect(try client.acknowledged(.pubrec, 9) == .success)
            try client.release(9)
            #expect(try watcher.receive(count: 2) == ["once", "again"])
        }
    }

    @Test(
        """
        [MQTT-4.3.3-10] [v3 MQTT-4.3.3-2] QoS 2: a repeat on the next connection is not delivered \
        again either
        """, arguments: Host.all, versions)
    func repeatAfterResume(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher", version)
        try watcher.subscribe(scene.topic())
        let (first, _) = try scene.kept("a", version)
        first.sendPublish(scene.topic(), "once", qos: .exactlyOnce, packetID: 3)
        try first.acknowledged(.pubrec, 3)
        first.cut()
        let (second, _) = try scene.kept("a", version)
        second.sendPublish(scene.topic(), "once", qos: .exactlyOnce, packetID: 3, dup: true)
        try second.acknowledged(.pubrec, 3)
        try second.release(3)
        try second.publish(scene.topic(), "end", qos: .exactlyOnce)
        #expect(try watcher.receive(count: 2) == ["once", "end"])
    }

    @Test(
        """
        [MQTT-4.3.3-11, MQTT-4.3.3-12] [v3 MQTT-4.3.3-2] QoS 2: PUBREL on the next connection ends \
        the exchange
        """, arguments: Host.all, versions)
    func releaseAfterResume(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher", version)
        try watcher.subscribe(scene.topic())
        let (first, _) = try scene.kept("a", version)
        first.sendPublish(scene.topic(), "once", qos: .exactlyOnce, packetID: 3)
        try first.acknowledged(.pubrec, 3)
        first.cut()
        let (second, _) = try scene.kept("a", version)
        try second.release(3)
        second.sendPublish(scene.topic(), "again", qos: .exactlyOnce, packetID: 3)
        try second.acknowledged(.pubrec, 3)
        #expect(try watcher.receive(count: 2) == ["once", "again"])
    }

    @Test(
        """
        [MQTT-4.3.3-9, MQTT-3.5.2-1] QoS 2: after PUBREC of 0x80 or above the identifier is a new \
        message
        """, arguments: Host.all)
    func refusedIdentifierIsFree(host: Host) throws {
        let scene = Scene(host)
        let watcher = try scene.connected("watcher")
        try watcher.subscribe(scene.topic())
        let client = try scene.connected { $0.username = Array("guarded".utf8) }
        client.sendPublish("forbidden/t", "no", qos: .exactlyOnce, packetID: 4)
        #expect(try client.acknowledged(.pubrec, 4) == .notAuthorized)
        client.sendPublish(scene.topic(), "yes", qos: .exactlyOnce, packetID: 4)
        #expect(try client.acknowledged(.pubrec, 4) == .success)
        try client.release(4)
        #expect(try watcher.receive().text == "yes")
    }

    @Test(
        "[MQTT-4.3.3-13] QoS 2: expiry does not break off the acknowledgements",
        arguments: Host.punctual)
    func expiryKeepsExchange(host: Host) throws {
        let scene = Scene(host)
        let (watcher, _) = try scene.kept("watcher")
        try watcher.subscribe(scene.topic())
        let client = try scene.connected()
        client.sendPublish(
            scene.topic(), "short", qos: .exactlyOnce, packetID: 6, expiry: 1)
        try client.acknowledged(.pubrec, 6)
        let arrival = try watcher.message()
        #expect(client.isSilent(for: .milliseconds(1_300)))
        try client.release(6)
        watcher.send(.pubrec, arrival.packetID)
        #expect(try watcher.acknowledged(.pubrel, arrival.packetID) == .success)
        watcher.send(.pubcomp, arrival.packetID)
        try watcher.expectNothing()
    }

    @Test(
        "[MQTT-4.3.3-7] QoS 2: a message that was sent does not expire",
        arguments: Host.punctual)
    func sentMessageDoesNotExpire(host: Host) throws {
        let scene = Scene(host)
        let (first, _) = try scene.kept("watcher")
        try first.subscribe(scene.topic())
        let client = try scene.connected()
        try client.publish(scene.topic(), "begun", qos: .exactlyOnce, expiry: 1)
        #expect(try first.message().text == "begun")
        first.cut()
        #expect(client.isSilent(for: .milliseconds(1_600)))
        let (second, _) = try scene.kept("watcher")
        let arrival = try second.receive()
        #expect(arrival.text == "begun")
        #expect(arrival.dup)
    }

    @Test(
        """
        [MQTT-2.2.1-3] an identifier in use is refused with 0x91 in whatever is acknowledged
        """, arguments: Host.all)
    func identifierInUse(host: Host) throws {
        let scene = Scene(host)
        let client = try scene.connected()
        client.sendPublish(scene.topic(), "1", qos: .exactlyOnce, packetID: 8)
        try client.acknowledged(.pubrec, 8)
        client.sendPublish(scene.topic(), "2", qos: .atLeastOnce, packetID: 8)
        #expect(try client.acknowledged(.puback, 8) == .packetIdentifierInUse)
        let suback = try client.subscribe(
            SubscribeRequest(
                packetID: 8,
                entries: [
                    .init(
                        filter: Array(scene.topic().utf8),
                        options: SubscriptionOptions(rawValue: 0))
                ]))
        #expect(suback.reasonCodes == [.packetIdentifierInUse])
        try client.release(8)
    }

    @Test(
        """
        [MQTT-2.2.1-3] [v3 MQTT-2.3.1-1] an identifier of 0 ends the connection
        """, arguments: Host.all, versions)
    func identifierIsNotZero(host: Host, version: ProtocolVersion) throws {
        for qos in [QoS.atLeastOnce, .exactlyOnce] {
            try expectZeroRefused(Scene(host).connected("a", version), qos)
        }
    }

    private func expectZeroRefused(_ client: ScriptedClient, _ qos: QoS) throws {
        client.sendPublish("t", qos: qos, packetID: 0)
        guard client.version == .v5 else { return try client.expectClosed() }
        let incoming = try client.next()
        guard case .disconnect(let packet, _) = incoming else {
            throw Surprise("got \(incoming)", #line)
        }
        #expect([.malformedPacket, .protocolError].contains(packet.reasonCode))
        try client.expectClosed()
    }

    // MARK: From the server

    @Test(
        """
        [MQTT-2.2.1-2, MQTT-3.3.1-2, MQTT-4.3.1-1] [v3 MQTT-2.3.1-5, MQTT-3.3.1-2, MQTT-4.3.1-1] \
        QoS 0 comes with DUP 0 and without an identifier
        """, arguments: Host.all, versions)
    func qos0IsBare(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", version)
        try client.subscribe(scene.topic(), qos: .atMostOnce)
        let publisher = try scene.connected("p", version)
        try publisher.publish(scene.topic(), "payload", qos: .exactlyOnce)
        let arrival = try client.message()
        #expect(arrival.qos == .atMostOnce)
        #expect(!arrival.dup)
        let head = 2 + 2 + scene.topic().utf8.count + (version == .v5 ? 1 : 0)
        #expect(arrival.size == head + "payload".utf8.count)
        #expect(arrival.text == "payload")
    }

    @Test(
        """
        [MQTT-2.2.1-4, MQTT-4.3.2-1, MQTT-4.3.2-2, MQTT-4.3.3-1, MQTT-4.3.3-2] \
        [v3 MQTT-2.3.1-4, MQTT-4.3.2-1, MQTT-4.3.3-1] new messages above QoS 0 come with DUP 0 \
        and identifiers that are neither 0 nor in use
        """, arguments: Host.all, versions)
    func identifiersAreUnused(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        for client in [
            try scene.connected("a", version), try scene.kept("b", version).client,
        ] {
            try client.subscribe(scene.topic())
            let publisher = try scene.connected("p", version)
            for number in 0..<12 {
                try publisher.publish(
                    scene.topic(), qos: number % 2 == 0 ? .atLeastOnce : .exactlyOnce)
            }
            let arrivals = try (0..<12).map { _ in try client.message() }
            #expect(arrivals.allSatisfy { $0.packetID > 0 && !$0.dup })
            #expect(Set(arrivals.map(\.packetID)).count == 12)
        }
    }

    @Test(
        """
        [MQTT-4.3.3-4, MQTT-2.2.1-5] [v3 MQTT-4.3.3-1, MQTT-2.3.1-6] PUBREC is answered with \
        PUBREL of the same identifier, which stays open until PUBCOMP
        """, arguments: Host.all, versions)
    func pubrecIsAnswered(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        for client in [
            try scene.connected("a", version), try scene.kept("b", version).client,
        ] {
            try client.subscribe(scene.topic())
            try scene.connected("p", version).publish(scene.topic(), qos: .exactlyOnce)
            let arrival = try client.message()
            client.send(.pubrec, arrival.packetID)
            let pubrel = try client.acknowledgement()
            #expect(pubrel.type == .pubrel)
            #expect(pubrel.packetID == arrival.packetID)
            #expect(pubrel.code == .success)
            client.send(.pubcomp, arrival.packetID)
            try client.expectNothing()
        }
    }

    @Test(
        """
        [MQTT-3.3.1-3] [v3 MQTT-3.3.1-3] DUP of what was received is not passed on
        """, arguments: Host.all, versions)
    func dupIsNotPassedOn(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let client = try scene.connected("a", version)
        try client.subscribe(scene.topic())
        let publisher = try scene.connected("p", version)
        publisher.sendPublish(scene.topic(), "1", qos: .atLeastOnce, packetID: 1, dup: true)
        try publisher.acknowledged(.puback, 1)
        #expect(try !client.receive().dup)
    }

    @Test(
        """
        [MQTT-4.5.0-1] [v3 MQTT-4.5.0-1] an accepted message reaches every session with a matching \
        subscription
        """, arguments: Host.all, versions)
    func everySessionGetsIt(host: Host, version: ProtocolVersion) throws {
        let scene = Scene(host)
        let filters = ["a/b", "a/+", "a/#", "+/b", "#"]
        let online = try filters.enumerated().map { index, filter in
            let client = try scene.connected("on\(index)", version)
            try client.subscribe(scene.topic(filter))
            return client
        }
        for (index, filter) in filters.enumerated() {
            let (client, _) = try scene.kept("off\(index)", version)
            try client.subscribe(scene.topic(filter))
            try client.disconnect()
        }
        try scene.connected("p", version).publish(scene.topic("a/b"), "to all")
        for client in online { #expect(try client.receive().text == "to all") }
        for index in filters.indices {
            let (client, _) = try scene.kept("off\(index)", version)
            #expect(try client.receive().text == "to all")
        }
    }

    // MARK: Order

    @Test(
        """
        [MQTT-4.6.0-5, MQTT-4.6.0-6] [v3 MQTT-4.6.0-5, MQTT-4.6.0-6] each publisher's messages \
        of a topic and QoS come in order
        """, arguments: Host.all, versions)
    func orderIsKept(host: Host, version: ProtocolVersion) throws {
        for qos in QoS.allCases { try checkOrder(Scene(host), version, qos) }
    }

    private func checkOrder(
        _ scene: borrowing Scene, _ version: ProtocolVersion, _ qos: QoS
    ) throws {
        let transient = try scene.connected("watcher", version)
        try transient.subscribe(scene.topic())
        let (stored, _) = try scene.kept("stored", version)
        try stored.subscribe(scene.topic("+"))
        let publishers = try ["p", "q"].map { try scene.connected($0, version) }
        let count = 40
        for number in 1...count {
            for publisher in publishers {
                publisher.sendPublish(
                    scene.topic(), "\(publisher.clientID) \(number)", qos: qos,
                    packetID: qos == .atMostOnce ? 0 : UInt16(number))
            }
        }
        for receiver in [transient, stored] {
            let texts = try receiver.receive(count: 2 * count)
            for publisher in publishers {
                let own = texts.filter { $0.hasPrefix(publisher.clientID + " ") }
                #expect(own == (1...count).map { "\(publisher.clientID) \($0)" })
            }
        }
    }
}
