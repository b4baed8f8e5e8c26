import Base
import MQTT
import TestKit
import Testing

/// What a server must refuse, as data: statement number, packet, fault.
@Suite("Malformed and forbidden packets")
struct MalformedPacketTests {
    static let server5 = DecodeOptions.server(.v5)
    static let server4 = DecodeOptions.server(.v311)
    static let server3 = DecodeOptions.server(.v31)
    static let client5 = DecodeOptions.client(.v5)
    static let client4 = DecodeOptions.client(.v311)

    static let framing: [Vector] = [
        Vector("type 0 [MQTT-2.1.3-1]", server5, raw: "00 00", .packetTypeReserved),
        Vector(
            "remaining length of five bytes", server4, raw: "30 FF FF FF FF 01",
            .remainingLengthMalformed),
        Vector(
            "5 remaining length not minimal [MQTT-1.5.5-1]", server5, raw: "C0 80 00",
            .remainingLengthNotMinimal),
        Vector(
            "5 PUBLISH remaining length not minimal [MQTT-1.5.5-1]", server5,
            raw: "30 84 80 00 0001 't' 00", .remainingLengthNotMinimal),
        Vector(
            "flags of PINGREQ [MQTT-2.1.3-1] [v3 MQTT-2.2.2-1] [v3 MQTT-2.2.2-2]", server4,
            first: 0xC1, "", .flagsReserved),
        Vector(
            "flags of CONNECT [v3 MQTT-2.2.2-2]", server4, first: 0x11, "('MQTT') 04",
            .flagsReserved),
        Vector(
            "flags of CONNECT when whole [MQTT-2.1.3-1]", server5, first: 0x12,
            "('MQTT') 05 02 0000 00 ('a')", .flagsReserved),
        Vector("flags of PUBREL [MQTT-3.6.1-1]", server5, first: 0x60, "0001", .flagsReserved),
        Vector(
            "flags of SUBSCRIBE [v3 MQTT-3.8.1-1]", server4, first: 0x80, "0001 ('a') 00",
            .flagsReserved),
        Vector(
            "flags of UNSUBSCRIBE [MQTT-3.10.1-1]", server5, first: 0xA0, "0001 00 ('a')",
            .flagsReserved),
        Vector("flags of DISCONNECT [MQTT-3.14.1-1]", server5, first: 0xE1, "", .flagsReserved),
        Vector("flags of AUTH [MQTT-3.15.1-1]", server5, first: 0xF1, "", .flagsReserved),
        Vector("AUTH below 5", server4, first: 0xF0, "", .packetTypeUnexpected),
        Vector("CONNACK to a server", server4, first: 0x20, "00 00", .packetTypeUnexpected),
        Vector("SUBSCRIBE to a client", client4, first: 0x82, "", .packetTypeUnexpected),
        Vector("PINGREQ with a body", server4, first: 0xC0, "00", .trailingBytes),
        Vector("3.1.1 DISCONNECT with a body", server4, first: 0xE0, "00", .trailingBytes),
    ]

    static let connects: [Vector] = [
        Vector(
            "unknown protocol name [MQTT-3.1.2-1] [v3 MQTT-3.1.2-1]", server4, first: 0x10,
            "('MQTX') 04 02 0000 ('a')", .protocolNameUnknown),
        Vector(
            "protocol name in lower case [MQTT-3.1.2-1] [v3 MQTT-3.1.2-1]", server4, first: 0x10,
            "('mqtt') 04 02 0000 ('a')", .protocolNameUnknown),
        Vector(
            "level 6 [MQTT-3.1.2-2] [v3 MQTT-3.1.2-2]", server4, first: 0x10,
            "('MQTT') 06 02 0000 ('a')",
            .protocolVersionUnsupported),
        Vector(
            "level 3 under the name MQTT [MQTT-3.1.2-2] [v3 MQTT-3.1.2-2]", server4, first: 0x10,
            "('MQTT') 03 02 0000 ('a')", .protocolVersionUnsupported),
        Vector(
            "level 4 under the name MQIsdp [MQTT-3.1.2-2] [v3 MQTT-3.1.2-2]", server4, first: 0x10,
            "('MQIsdp') 04 02 0000 ('a')", .protocolVersionUnsupported),
        Vector(
            "a bridge's level 0x84 [MQTT-3.1.2-2] [v3 MQTT-3.1.2-2]", server4, first: 0x10,
            "('MQTT') 84 02 0000 ('a')", .protocolVersionUnsupported),
        Vector(
            "3.1.1 reserved flag [v3 MQTT-3.1.2-3]", server4, first: 0x10,
            "('MQTT') 04 03 0000 ('a')", .connectFlagReserved),
        Vector(
            "5 reserved flag [MQTT-3.1.2-3]", server5, first: 0x10,
            "('MQTT') 05 03 0000 00 ('a')", .connectFlagReserved),
        Vector(
            "will QoS without will [MQTT-3.1.2-11]", server5, first: 0x10,
            "('MQTT') 05 0A 0000 00 ('a')", .willQoSWithoutWill),
        Vector(
            "will retain without will [MQTT-3.1.2-13]", server5, first: 0x10,
            "('MQTT') 05 22 0000 00 ('a')", .willRetainWithoutWill),
        Vector(
            "will QoS 3 [MQTT-3.1.2-12]", server5, first: 0x10,
            "('MQTT') 05 1E 0000 00 ('a') 00 ('t') ('p')", .willQoSReserved),
        Vector(
            "3.1.1 will QoS 3 [v3 MQTT-3.1.2-14]", server4, first: 0x10,
            "('MQTT') 04 1E 0000 ('a') ('t') ('p')", .willQoSReserved),
        Vector(
            "will flag without will fields [v3 MQTT-3.1.2-9]", server4, first: 0x10,
            "('MQTT') 04 06 0000 ('a')", .truncated),
        Vector(
            "will topic with wildcard [MQTT-4.7.0-1]", server5, first: 0x10,
            "('MQTT') 05 06 0000 00 ('a') 00 ('t/+') ('p')", .willTopicWildcard),
        Vector(
            "empty will topic [MQTT-4.7.3-1]", server5, first: 0x10,
            "('MQTT') 05 06 0000 00 ('a') 00 () ('p')", .willTopicEmpty),
        Vector(
            "will topic not UTF-8 [MQTT-3.1.3-11]", server5, first: 0x10,
            "('MQTT') 05 06 0000 00 ('a') 00 (FF) ('p')", .textIllFormed),
        Vector(
            "3.1.1 password without user name [v3 MQTT-3.1.2-22]", server4, first: 0x10,
            "('MQTT') 04 42 0000 ('a') ('pw')", .passwordWithoutUsername),
        Vector(
            "user name flag without user name [MQTT-3.1.2-17]", server5, first: 0x10,
            "('MQTT') 05 82 0000 00 ('a')", .truncated),
        Vector(
            "password flag without password [MQTT-3.1.2-19]", server5, first: 0x10,
            "('MQTT') 05 C2 0000 00 ('a') ('u')", .truncated),
        Vector(
            "user name without its flag [v3 MQTT-3.1.2-18]", server4, first: 0x10,
            "('MQTT') 04 02 0000 ('a') ('u')", .trailingBytes),
        Vector(
            "password without its flag [v3 MQTT-3.1.2-20]", server5, first: 0x10,
            "('MQTT') 05 82 0000 00 ('a') ('u') ('p')", .trailingBytes),
        Vector(
            "no client id [v3 MQTT-3.1.3-3]", server4, first: 0x10, "('MQTT') 04 02 0000",
            .truncated),
        Vector(
            "client id not UTF-8 [MQTT-3.1.3-4]", server5, first: 0x10,
            "('MQTT') 05 02 0000 00 (C0 80)", .textIllFormed),
        Vector(
            "user name with U+0000 [MQTT-1.5.4-2]", server5, first: 0x10,
            "('MQTT') 05 82 0000 00 ('a') ('u' 00)", .textNull),
        Vector(
            "user name not UTF-8 [MQTT-3.1.3-12]", server5, first: 0x10,
            "('MQTT') 05 82 0000 00 ('a') (ED A0 80)", .textIllFormed),
    ]

    static func connect(_ name: String, _ block: String, _ fault: DecodeFault) -> Vector {
        Vector(
            name, server5, first: 0x10, "('MQTT') 05 02 0000 \(block) ('a')", fault)
    }

    static let connectProperties: [Vector] = [
        connect("receive maximum 0", "{21 0000}", .receiveMaximumZero),
        connect("maximum packet size 0", "{27 00000000}", .maximumPacketSizeZero),
        connect("request problem information 2", "{17 02}", .propertyFlagNotBoolean),
        connect("request response information 2", "{19 02}", .propertyFlagNotBoolean),
        connect("session expiry twice", "{11 00000000 11 00000000}", .propertyRepeated),
        connect("receive maximum twice", "{21 0001 21 0001}", .propertyRepeated),
        connect("topic alias maximum twice", "{22 0001 22 0001}", .propertyRepeated),
        connect("maximum packet size twice", "{27 00000001 27 00000001}", .propertyRepeated),
        connect("authentication method twice", "{15 ('m') 15 ('m')}", .propertyRepeated),
        connect(
            "authentication data without method", "{16 ('d')}", .authenticationDataWithoutMethod),
        connect("a property of PUBLISH", "{23 0001}", .propertyNotAllowed),
        connect("a property of CONNACK", "{24 01}", .propertyNotAllowed),
        connect("an unknown property", "{7E 01}", .propertyNotAllowed),
        connect("a property identifier of two bytes", "{91 00 00000000}", .propertyNotAllowed),
        connect("will delay outside the will", "{18 00000001}", .propertyNotAllowed),
        connect("a property cut short", "{11 0000}", .truncated),
        connect("a user property without value", "{26 ('k')}", .truncated),
        connect("a user property not UTF-8 [MQTT-1.5.7-1]", "{26 ('k') (FF)}", .textIllFormed),
        Vector(
            "property length beyond the packet", server5, first: 0x10,
            "('MQTT') 05 02 0000 7F ('a')", .propertyLengthOverrun),
        Vector(
            "property length missing [MQTT-2.2.2-1]", server5, first: 0x10,
            "('MQTT') 05 02 0000", .truncated),
        Vector(
            "property length of five bytes [MQTT-1.5.5-1]", server5, first: 0x10,
            "('MQTT') 05 02 0000 80808080 01 ('a')", .variableIntegerMalformed),
        Vector(
            "property length not minimal [MQTT-1.5.5-1]", server5, first: 0x10,
            "('MQTT') 05 02 0000 8000 ('a')", .variableIntegerNotMinimal),
        Vector(
            "invalid will property", server5, first: 0x10,
            "('MQTT') 05 06 0000 00 ('a') {11 00000001} ('t') ('p')", .propertyNotAllowed),
        Vector(
            "will delay twice", server5, first: 0x10,
            "('MQTT') 05 06 0000 00 ('a') {18 00000001 18 00000001} ('t') ('p')",
            .propertyRepeated),
        Vector(
            "topic alias in a will", server5, first: 0x10,
            "('MQTT') 05 06 0000 00 ('a') {23 0001} ('t') ('p')", .propertyNotAllowed),
    ]

    static let publishes: [Vector] = [
        Vector("QoS 3 [v3 MQTT-3.3.1-4]", server4, first: 0x36, "('t') 0001", .qosReserved),
        Vector("5 QoS 3 [MQTT-3.3.1-4]", server5, first: 0x36, "('t') 0001 00", .qosReserved),
        Vector("DUP with QoS 0 [v3 MQTT-3.3.1-2]", server4, first: 0x38, "('t')", .dupOnQoS0),
        Vector("5 DUP with QoS 0 [MQTT-3.3.1-2]", server5, first: 0x38, "('t') 00", .dupOnQoS0),
        Vector("packet id 0 [v3 MQTT-2.3.1-1]", server4, first: 0x32, "('t') 0000", .packetIDZero),
        Vector(
            "5 packet id 0 [MQTT-2.2.1-3]", server5, first: 0x34, "('t') 0000 00", .packetIDZero),
        Vector("no packet id", server4, first: 0x32, "('t')", .truncated),
        Vector("topic with + [v3 MQTT-3.3.2-2]", server4, first: 0x30, "('a/+')", .topicWildcard),
        Vector("topic with # [MQTT-3.3.2-2]", server5, first: 0x30, "('#') 00", .topicWildcard),
        Vector(
            "wildcard beyond the first word [MQTT-3.3.2-2]", server5, first: 0x30,
            "('abcdefghijk#lmn') 00", .topicWildcard),
        Vector("empty topic [v3 MQTT-4.7.3-1]", server4, first: 0x30, "()", .topicEmpty),
        Vector(
            "5 empty topic without alias", server5, first: 0x30, "() 00 'p'",
            .topicEmptyWithoutAlias),
        Vector(
            "topic with U+0000 [MQTT-4.7.3-2]", server5, first: 0x30, "('a' 00 'b') 00", .textNull),
        Vector(
            "topic not UTF-8 [MQTT-3.3.2-1]", server5, first: 0x30, "('a' FF) 00", .textIllFormed),
        Vector(
            "3.1.1 topic with a surrogate [v3 MQTT-1.5.3-1]", server4, first: 0x30, "(ED A0 80)",
            .textIllFormed),
        Vector("topic longer than the packet", server4, first: 0x30, "0005 'a'", .truncated),
        Vector("topic length cut", server4, first: 0x30, "00", .truncated),
        Vector("5 no property length", server5, first: 0x30, "('t')", .truncated),
        Vector(
            "topic alias 0 [MQTT-3.3.2-8]", server5, first: 0x30, "('t') {23 0000}",
            .topicAliasZero),
        Vector(
            "topic alias twice", server5, first: 0x30, "('t') {23 0001 23 0001}",
            .propertyRepeated),
        Vector(
            "payload format 2", server5, first: 0x30, "('t') {01 02}", .propertyFlagNotBoolean),
        Vector(
            "payload format twice", server5, first: 0x30, "('t') {01 01 01 01}",
            .propertyRepeated),
        Vector(
            "response topic with wildcard [MQTT-3.3.2-14]", server5, first: 0x30,
            "('t') {08 ('r/#')}", .responseTopicWildcard),
        Vector(
            "response topic not UTF-8 [MQTT-3.3.2-13]", server5, first: 0x30,
            "('t') {08 (FE)}", .textIllFormed),
        Vector(
            "empty response topic [MQTT-4.7.3-1]", server5, first: 0x30, "('t') {08 ()}",
            .responseTopicEmpty),
        Vector(
            "content type not UTF-8 [MQTT-3.3.2-19]", server5, first: 0x30,
            "('t') {03 (80)}", .textIllFormed),
        Vector(
            "correlation data twice", server5, first: 0x30, "('t') {09 ('a') 09 ('a')}",
            .propertyRepeated),
        Vector(
            "subscription identifier from a client [MQTT-3.3.4-6]", server5, first: 0x30,
            "('t') {0B 01}", .subscriptionIDFromClient),
        Vector(
            "subscription identifier 0 to a client", client5, first: 0x30, "('t') {0B 00}",
            .subscriptionIDZero),
        Vector(
            "a property of CONNECT in PUBLISH", server5, first: 0x30, "('t') {11 00000001}",
            .propertyNotAllowed),
    ]

    static let acknowledgements: [Vector] = [
        Vector("PUBACK with packet id 0", server4, first: 0x40, "0000", .packetIDZero),
        Vector("PUBACK of one byte", server4, first: 0x40, "00", .truncated),
        Vector("3.1.1 PUBACK of three bytes", server4, first: 0x40, "0001 00", .trailingBytes),
        Vector(
            "PUBACK with a foreign code [MQTT-3.4.2-1]", server5, first: 0x40, "0001 8E",
            .reasonCodeNotAllowed),
        Vector(
            "PUBREC with an unknown code [MQTT-3.5.2-1]", server5, first: 0x50, "0001 7F",
            .reasonCodeNotAllowed),
        Vector(
            "PUBREL with a foreign code [MQTT-3.6.2-1]", server5, first: 0x62, "0001 10",
            .reasonCodeNotAllowed),
        Vector(
            "PUBCOMP with a foreign code [MQTT-3.7.2-1]", server5, first: 0x70, "0001 80",
            .reasonCodeNotAllowed),
        Vector(
            "reason string twice", server5, first: 0x40, "0001 00 {1F ('a') 1F ('b')}",
            .propertyRepeated),
        Vector(
            "foreign property in PUBACK", server5, first: 0x40, "0001 00 {01 01}",
            .propertyNotAllowed),
        Vector("bytes behind PUBACK", server5, first: 0x40, "0001 00 00 00", .trailingBytes),
        Vector("SUBACK with packet id 0", client5, first: 0x90, "0000 00 00", .packetIDZero),
        Vector("SUBACK without codes", client5, first: 0x90, "0001 00", .acknowledgeListEmpty),
        Vector(
            "SUBACK with a foreign code", client5, first: 0x90, "0001 00 8E",
            .reasonCodeNotAllowed),
        Vector("3.1.1 UNSUBACK with codes", client4, first: 0xB0, "0001 00", .trailingBytes),
        Vector(
            "CONNACK with reserved flags", client5, first: 0x20, "02 00 00",
            .connackFlagsReserved),
        Vector("3.1.1 CONNACK with code 6", client4, first: 0x20, "00 06", .reasonCodeNotAllowed),
        Vector("CONNACK without code", client4, first: 0x20, "00", .truncated),
    ]

    static let subscriptions: [Vector] = [
        Vector(
            "SUBSCRIBE without a filter [MQTT-3.8.3-2]", server5, first: 0x82, "0001 00",
            .subscribeListEmpty),
        Vector(
            "3.1.1 SUBSCRIBE without a filter [v3 MQTT-3.8.3-3]", server4, first: 0x82, "0001",
            .subscribeListEmpty),
        Vector(
            "UNSUBSCRIBE without a filter [MQTT-3.10.3-2]", server5, first: 0xA2, "0001 00",
            .unsubscribeListEmpty),
        Vector(
            "SUBSCRIBE with packet id 0 [MQTT-2.2.1-3]", server5, first: 0x82, "0000 00 ('a') 00",
            .packetIDZero),
        Vector(
            "UNSUBSCRIBE with packet id 0 [v3 MQTT-2.3.1-1]", server4, first: 0xA2, "0000 ('a')",
            .packetIDZero),
        Vector(
            "reserved option bits [MQTT-3.8.3-5]", server5, first: 0x82, "0001 00 ('a') 40",
            .subscriptionOptionsReserved),
        Vector(
            "3.1.1 reserved option bits [v3 MQTT-3.8.3-4]", server4, first: 0x82, "0001 ('a') 04",
            .subscriptionOptionsReserved),
        Vector(
            "subscription QoS 3", server5, first: 0x82, "0001 00 ('a') 03",
            .subscriptionQoSReserved),
        Vector(
            "3.1.1 subscription QoS 3 [v3 MQTT-3.8.3-4]", server4, first: 0x82, "0001 ('a') 03",
            .subscriptionQoSReserved),
        Vector(
            "retain handling 3", server5, first: 0x82, "0001 00 ('a') 30",
            .retainHandlingReserved),
        Vector(
            "no local on a shared subscription [MQTT-3.8.3-4]", server5, first: 0x82,
            "0001 00 ('$share/g/t') 04", .noLocalOnShared),
        Vector(
            "no local on an ordered shared subscription [MQTT-3.8.3-4]", server5, first: 0x82,
            "0001 00 ('$oshare/g/t') 04", .noLocalOnShared),
        Vector(
            "subscription identifier 0", server5, first: 0x82, "0001 {0B 00} ('a') 00",
            .subscriptionIDZero),
        Vector(
            "subscription identifier of five bytes", server5, first: 0x82,
            "0001 {0B 80808080 01} ('a') 00", .variableIntegerMalformed),
        Vector(
            "subscription identifier twice", server5, first: 0x82, "0001 {0B 01 0B 02} ('a') 00",
            .propertyRepeated),
        Vector(
            "filter not UTF-8 [MQTT-3.8.3-1]", server5, first: 0x82, "0001 00 (C1 81) 00",
            .textIllFormed),
        Vector(
            "filter not UTF-8 [v3 MQTT-3.10.3-1]", server4, first: 0xA2, "0001 (F5 80 80 80)",
            .textIllFormed),
        Vector("filter without options", server4, first: 0x82, "0001 ('a')", .truncated),
        Vector("second filter cut", server4, first: 0x82, "0001 ('a') 00 0005 'b'", .truncated),
        Vector(
            "reason string in UNSUBSCRIBE", server5, first: 0xA2, "0001 {1F ('r')} ('a')",
            .propertyNotAllowed),
    ]

    static let endings: [Vector] = [
        Vector(
            "DISCONNECT with a foreign code [MQTT-3.14.2-1]", server5, first: 0xE0, "01",
            .reasonCodeNotAllowed),
        Vector(
            "session expiry from a server [MQTT-3.14.2-2]", client5, first: 0xE0,
            "00 {11 00000001}", .sessionExpiryFromServer),
        Vector("bytes behind DISCONNECT", server5, first: 0xE0, "00 00 00", .trailingBytes),
        Vector(
            "AUTH with a foreign code [MQTT-3.15.2-1]", server5, first: 0xF0, "80 00",
            .reasonCodeNotAllowed),
        Vector("AUTH success from a client", server5, first: 0xF0, "", .reasonCodeNotAllowed),
        Vector(
            "re-authentication from a server", client5, first: 0xF0, "19 {15 ('m')}",
            .reasonCodeNotAllowed),
        Vector(
            "AUTH without method", server5, first: 0xF0, "18 00", .authenticationMethodMissing),
        Vector(
            "AUTH with session expiry", server5, first: 0xF0, "18 {15 ('m') 11 00000001}",
            .propertyNotAllowed),
    ]

    @Test(
        "a packet that breaks a rule gives the fault of that rule, however it arrives",
        arguments: framing + connects + connectProperties + publishes + acknowledgements
            + subscriptions + endings)
    func refuses(vector: Vector) {
        let outcome = decodeEveryWay(vector.packet, vector.options)
        #expect(outcome == vector.fault.map(Outcome.fault))
    }

    @Test("a non-minimal remaining length is accepted below MQTT 5, which alone forbids it")
    func nonMinimalLength() {
        #expect(
            decodeOne(bytes("C0 80 00"), Self.server4).outcome == .packet(bytes("C0 00")))
    }

    @Test("a packet above the limit is refused from its header, before its body arrives")
    func tooLarge() {
        let header = bytes("30 FF FF FF 7F")
        let outcome = decodeOne(header, Self.server4, maximumPacketSize: 1_000).outcome
        #expect(outcome == .fault(.packetTooLarge))
        #expect(
            decodeOne(bytes("30 05 ('a') 'xy'"), Self.server4, maximumPacketSize: 7).outcome
                != .fault(.packetTooLarge))
        #expect(
            decodeOne(bytes("30 05 ('a') 'xy'"), Self.server4, maximumPacketSize: 6).outcome
                == .fault(.packetTooLarge))
        // Also where the length takes two bytes: 203 in all.
        func isTooLarge(_ limit: Int) -> Bool {
            decodeOne(bytes("30 C8 01"), Self.server4, maximumPacketSize: limit).outcome
                == .fault(.packetTooLarge)
        }
        #expect(isTooLarge(202))
        #expect(!isTooLarge(203))
    }

    @Test("need-more names the size of the packet as soon as the header is whole")
    func needMoreNamesSize() {
        func frame(_ text: String) -> FrameResult {
            bytes(text).withRawSpan {
                FixedHeader.decode($0, offset: 0, maximumPacketSize: 1 << 20)
            }
        }
        #expect(frame("") == .needMore(totalSize: 0))
        #expect(frame("30") == .needMore(totalSize: 0))
        #expect(frame("30 80") == .needMore(totalSize: 0))
        #expect(frame("30 80 01") == .needMore(totalSize: 131))
    }

    @Test("user properties are counted against the limit, exactly")
    func userPropertyLimit() {
        var options = Self.server5
        options.userPropertiesMax = 3
        func publish(_ count: Int) -> Vector {
            let block = String(repeating: "26 ('k') ('v')", count: count)
            return Vector("", options, first: 0x30, "('t') {\(block)}")
        }
        guard case .packet = decodeOne(publish(3).packet, options).outcome else {
            Issue.record("three user properties are allowed")
            return
        }
        #expect(decodeOne(publish(4).packet, options).outcome == .fault(.userPropertiesTooMany))
    }

    @Test("control characters are refused where the option says so, and only there")
    func controlCharacters() {
        var strict = Self.server4
        strict.rejectsControlCharacters = true
        for text in ["01", "1F", "7F", "C2 80", "EF BF BF", "EF B7 90", "F0 9F BF BE"] {
            let packet = Vector("", strict, first: 0x30, "(\(text))").packet
            #expect(decodeOne(packet, strict).outcome == .fault(.textControlCharacter))
            #expect(decodeOne(packet, Self.server4).outcome == .packet(packet))
        }
    }

    @Test("every fault has its row: reason code, scope and phrase")
    func table() {
        for fault in DecodeFault.allCases {
            #expect(fault.what.utf8CodeUnitCount > 0)
            #expect(fault.reasonCode.isFailure)
        }
        #expect(DecodeFault.reasonCodeNotAllowed.what.description.hasPrefix("reason code"))
        #expect(DecodeFault.topicAliasZero.reasonCode == .topicAliasInvalid)
        #expect(DecodeFault.packetTooLarge.reasonCode == .packetTooLarge)
        #expect(DecodeFault.protocolVersionUnsupported.scope == .version)
        #expect("\(DecodeFault.passwordWithoutUsername.statement(in: .v311))" == "MQTT-3.1.2-22")
        #expect("\(DecodeFault.willQoSReserved.statement)" == "MQTT-3.1.2-12")
    }
}
