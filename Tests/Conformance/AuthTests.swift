import MQTT
import TestKit
import Testing

/// Enhanced authentication of 5.0: the method `story` of the test's authenticator.
@Suite("Enhanced authentication", .waiting)
struct AuthTests {
    private func sendAuth(
        _ client: ScriptedClient, _ code: ReasonCode, _ word: String,
        method: String? = ScriptedAuthenticator.method
    ) {
        var packet = AuthPacket(reasonCode: code)
        packet.authenticationMethod = method.map { Array($0.utf8) }
        packet.authenticationData = Array(word.utf8)
        client.send { packet.encode(limit: .max, into: &$0) }
    }

    private func sendConnect(
        _ client: ScriptedClient, _ word: String = "begin",
        method: String = ScriptedAuthenticator.method, packetSize: UInt32? = nil
    ) {
        var packet = client.connectPacket()
        packet.properties.authenticationMethod = Array(method.utf8)
        packet.properties.authenticationData = Array(word.utf8)
        packet.properties.maximumPacketSize = packetSize
        client.send { packet.encode(into: &$0) }
    }

    private func auth(_ client: ScriptedClient, line: Int = #line) throws -> AuthPacket {
        let incoming = try client.next(line)
        guard case .auth(let packet) = incoming else {
            throw Surprise("wanted AUTH, got \(incoming)", line)
        }
        return packet
    }

    /// A client that has told its story.
    private func authenticated(_ host: Host) throws -> ScriptedClient {
        let client = Scene(host).client()
        sendConnect(client)
        _ = try auth(client)
        sendAuth(client, .continueAuthentication, "middle")
        _ = try auth(client)
        sendAuth(client, .continueAuthentication, "end")
        #expect(try client.connack().reasonCode == .success)
        return client
    }

    @Test(
        """
        [MQTT-4.12.0-2, MQTT-4.12.0-5, MQTT-3.2.0-1, MQTT-3.15.2-1] AUTH goes back and forth with \
        0x18 and the method of CONNECT until CONNACK
        """, arguments: Host.all)
    func exchangeEndsInConnack(host: Host) throws {
        let client = Scene(host).client()
        sendConnect(client)
        for word in ["middle", "end"] {
            let packet = try auth(client)
            #expect(packet.reasonCode == .continueAuthentication)
            #expect(packet.authenticationMethod == Array("story".utf8))
            #expect(packet.authenticationData == Array("and \(word)?".utf8))
            sendAuth(client, .continueAuthentication, word)
        }
        let connack = try client.connack()
        #expect(connack.reasonCode == .success)
        #expect(connack.properties.authenticationMethod == Array("story".utf8))
        #expect(connack.properties.authenticationData == Array("the end".utf8))
        try client.expectNothing()
    }

    @Test(
        "[MQTT-4.12.0-1] an unknown method is refused with 0x8C and closed", arguments: Host.all)
    func unknownMethod(host: Host) throws {
        let client = Scene(host).client()
        sendConnect(client, method: "novel")
        #expect(try client.connack().reasonCode == .badAuthenticationMethod)
        try client.expectClosed()
    }

    @Test(
        "[MQTT-4.12.0-4] a rejected authentication is refused and closed", arguments: Host.all)
    func rejectedAuthentication(host: Host) throws {
        let early = Scene(host).client()
        sendConnect(early, "once upon a time")
        #expect(try early.connack().reasonCode == .notAuthorized)
        try early.expectClosed()
        let late = Scene(host).client()
        sendConnect(late)
        _ = try auth(late)
        sendAuth(late, .continueAuthentication, "end")
        #expect(try late.connack().reasonCode == .notAuthorized)
        try late.expectClosed()
    }

    @Test(
        """
        [MQTT-4.12.0-3] the client's AUTH within CONNECT has reason code 0x18
        """, arguments: Host.all)
    func answerContinues(host: Host) throws {
        let client = Scene(host).client()
        sendConnect(client)
        _ = try auth(client)
        sendAuth(client, .reauthenticate, "middle")
        let incoming = try client.next()
        if case .connack(let connack) = incoming {
            #expect(connack.reasonCode == .protocolError)
            try client.expectClosed()
        } else if case .end = incoming {
            return
        } else {
            throw Surprise("got \(incoming)", #line)
        }
    }

    @Test(
        """
        [MQTT-4.12.0-5] AUTH within CONNECT with another method is a protocol error
        """, arguments: Host.all)
    func methodStays(host: Host) throws {
        let client = Scene(host).client()
        sendConnect(client)
        _ = try auth(client)
        sendAuth(client, .continueAuthentication, "middle", method: "novel")
        #expect(try client.connack().reasonCode == .protocolError)
        try client.expectClosed()
    }

    @Test(
        """
        [MQTT-3.1.2-30] before CONNACK of enhanced authentication anything but AUTH and \
        DISCONNECT is a protocol error
        """, arguments: Host.all, ["C0 00", "30 04 ('t') 00", "82 07 0001 00 ('a') 00"])
    func onlyAuthAndDisconnect(host: Host, other: String) throws {
        let client = Scene(host).client()
        sendConnect(client)
        _ = try auth(client)
        client.send(bytes(other))
        #expect(try client.connack().reasonCode == .protocolError)
        try client.expectClosed()
    }

    @Test(
        "[MQTT-3.1.2-30] DISCONNECT ends an enhanced authentication", arguments: Host.all)
    func disconnectDuringAuthentication(host: Host) throws {
        let client = Scene(host).client()
        sendConnect(client)
        _ = try auth(client)
        try client.disconnect()
    }

    @Test(
        """
        [MQTT-4.12.0-6, MQTT-4.12.0-7] without a method there is none in CONNACK, and AUTH of the \
        client is a protocol error
        """, arguments: Host.all)
    func noMethodNoAuth(host: Host) throws {
        let client = Scene(host).client()
        #expect(try client.connect().properties.authenticationMethod == nil)
        try client.expectNothing()
        sendAuth(client, .reauthenticate, "begin")
        try client.expectRefusal(.protocolError)
    }

    @Test(
        """
        [MQTT-4.12.1-1, MQTT-4.12.0-5] re-authentication goes through the same exchange and ends \
        with AUTH of success, while other packets flow
        """, arguments: Host.all)
    func reauthentication(host: Host) throws {
        let client = try authenticated(host)
        for _ in 0..<2 {
            sendAuth(client, .reauthenticate, "begin")
            #expect(try auth(client).reasonCode == .continueAuthentication)
            try client.expectNothing()
            sendAuth(client, .continueAuthentication, "middle")
            #expect(try auth(client).authenticationMethod == Array("story".utf8))
            sendAuth(client, .continueAuthentication, "end")
            let last = try auth(client)
            #expect(last.reasonCode == .success)
            #expect(last.authenticationMethod == Array("story".utf8))
            try client.expectNothing()
        }
    }

    @Test(
        "[MQTT-4.12.1-1] re-authentication with another method is refused with 0x82",
        arguments: Host.all)
    func reauthenticationKeepsMethod(host: Host) throws {
        let client = try authenticated(host)
        sendAuth(client, .reauthenticate, "begin", method: "novel")
        try client.expectRefusal(.protocolError)
    }

    @Test(
        "[MQTT-4.12.1-2] a failed re-authentication closes the connection", arguments: Host.all)
    func failedReauthentication(host: Host) throws {
        let client = try authenticated(host)
        sendAuth(client, .reauthenticate, "begin")
        _ = try auth(client)
        sendAuth(client, .continueAuthentication, "a wrong word")
        try client.expectRefusal(.notAuthorized)
    }

    @Test(
        """
        [MQTT-3.15.2-2, MQTT-3.15.2-3] AUTH has no reason string or user property that would make \
        it exceed the client's maximum packet size
        """, arguments: Host.all)
    func authFits(host: Host) throws {
        let client = Scene(host).client()
        sendConnect(client, packetSize: 29)
        let packet = try auth(client)
        #expect(packet.reasonString == nil)
        #expect(packet.userProperties.isEmpty)
    }

    @Test("[MQTT-3.15.1-1] flags of AUTH close the connection", arguments: Host.all)
    func flagsOfAuth(host: Host) throws {
        let client = try authenticated(host)
        client.send(packet(0xF1, "19 {15 ('story')}"))
        try client.expectRefusal(.malformedPacket)
    }
}
