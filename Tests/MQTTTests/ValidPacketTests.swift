import Base
import MQTT
import Testing

@Suite("Valid packets")
struct ValidPacketTests {
    static let server5 = DecodeOptions.server(.v5)
    static let server4 = DecodeOptions.server(.v311)
    static let server3 = DecodeOptions.server(.v31)
    static let client5 = DecodeOptions.client(.v5)
    static let client4 = DecodeOptions.client(.v311)

    static let connects: [Vector] = [
        Vector("3.1 CONNECT", server3, first: 0x10, "0006 'MQIsdp' 03 02 003C 0001 'a'"),
        Vector("3.1.1 CONNECT", server4, first: 0x10, "0004 'MQTT' 04 02 003C 0001 'a'"),
        Vector(
            "3.1.1 CONNECT, empty client id", server4, first: 0x10, "0004 'MQTT' 04 02 0000 0000"),
        Vector(
            "3.1.1 CONNECT with everything", server4, first: 0x10,
            "0004 'MQTT' 04 EE 003C 0001 'a' 0003 'w/t' 0002 'hi' 0001 'u' 0002 'pw'"),
        Vector("5 CONNECT", server5, first: 0x10, "0004 'MQTT' 05 02 003C 00 0001 'a'"),
        Vector(
            "5 CONNECT with password alone [3.1.2.9]", server5, first: 0x10,
            "0004 'MQTT' 05 42 003C 00 0001 'a' 0002 'pw'"),
        Vector(
            "5 CONNECT with all properties", server5, first: 0x10,
            """
            0004 'MQTT' 05 02 003C
            {11 00000010 21 000A 27 00010000 22 0005 19 01 17 00 15 0001 'm' 16 0001 'd'
            26 0001 'k' 0001 'v' 26 0001 'k' 0000} 0001 'a'
            """),
        Vector(
            "5 CONNECT with will properties", server5, first: 0x10,
            """
            0004 'MQTT' 05 26 003C 00 0001 'a'
            {18 00000005 02 00000006 01 01 03 0001 'c' 08 0001 'r' 09 0002 0001 26 0000 0000}
            0001 't' 0001 'p'
            """),
    ]

    static let publishes: [Vector] = [
        Vector("3.1.1 PUBLISH QoS 0", server4, first: 0x30, "0003 'a/b' 'hello'"),
        Vector("3.1.1 PUBLISH QoS 1 without payload", server4, first: 0x32, "0003 'a/b' 000A"),
        Vector("3.1.1 PUBLISH QoS 2 DUP RETAIN", server4, first: 0x3D, "0003 'a/b' FFFF 'x'"),
        Vector("5 PUBLISH QoS 0", server5, first: 0x30, "0003 'a/b' 00 'hello'"),
        Vector("5 PUBLISH by alias", server5, first: 0x30, "0000 03 23 0001 'hello'"),
        Vector(
            "5 PUBLISH with all properties", server5, first: 0x32,
            """
            0001 't' 0001
            {02 0000000A 23 0007 01 01 03 0001 'c' 08 0003 'r/t' 09 0002 0000
            26 0001 'a' 0001 'b' 26 0001 'a' 0001 'b'} 'payload'
            """),
        Vector(
            "5 PUBLISH to a client with two subscription identifiers", client5, first: 0x30,
            "0001 't' 07 0B 01 0B FFFFFF7F 'p'"),
        Vector("5 PUBLISH with a topic of many bytes", server5, first: 0x30, "('ü/日本') 00"),
        Vector("topic names may contain $ and spaces", server4, first: 0x30, "0006 '$x / y'"),
    ]

    static let acknowledgements: [Vector] = [
        Vector("3.1.1 PUBACK", server4, first: 0x40, "0001"),
        Vector("3.1.1 PUBREC", server4, first: 0x50, "0001"),
        Vector("3.1.1 PUBREL", server4, first: 0x62, "0001"),
        Vector("3.1 PUBREL with DUP", server3, first: 0x6A, "0001"),
        Vector("3.1.1 PUBCOMP", server4, first: 0x70, "0001"),
        Vector("5 PUBACK short", server5, first: 0x40, "0001"),
        Vector("5 PUBACK with reason code", server5, first: 0x40, "0001 10"),
        Vector("5 PUBREC with reason string", server5, first: 0x50, "0001 80 04 1F 0001 'x'"),
        Vector("5 PUBREL not found", server5, first: 0x62, "0001 92 00"),
        Vector("5 PUBCOMP with user property", server5, first: 0x70, "0001 00 05 26 0000 0000"),
    ]

    static let subscriptions: [Vector] = [
        Vector("3.1 SUBSCRIBE with DUP", server3, first: 0x8A, "0001 0001 'a' 01"),
        Vector("3.1.1 SUBSCRIBE", server4, first: 0x82, "0001 0001 'a' 00 0003 '+/#' 02"),
        Vector(
            "5 SUBSCRIBE with all options", server5, first: 0x82,
            "0001 02 0B 05 0001 'a' 2E 0001 'b' 00 0001 'c' 1D"),
        Vector("5 SUBSCRIBE shared", server5, first: 0x82, "0001 00 000A '$share/g/t' 02"),
        Vector("3.1.1 UNSUBSCRIBE", server4, first: 0xA2, "0001 0001 'a' 0001 'b'"),
        Vector("5 UNSUBSCRIBE", server5, first: 0xA2, "0001 05 26 0000 0000 0001 'a'"),
        Vector("3.1.1 SUBACK", client4, first: 0x90, "0001 00 01 02 80"),
        Vector("5 SUBACK", client5, first: 0x90, "0001 04 1F 0001 'r' 00 01 02 87 9E"),
        Vector("3.1.1 UNSUBACK", client4, first: 0xB0, "0001"),
        Vector("5 UNSUBACK", client5, first: 0xB0, "0001 00 00 11"),
    ]

    static let others: [Vector] = [
        Vector("PINGREQ", server4, first: 0xC0, ""),
        Vector("PINGRESP", client4, first: 0xD0, ""),
        Vector("3.1.1 DISCONNECT", server4, first: 0xE0, ""),
        Vector("5 DISCONNECT empty", server5, first: 0xE0, ""),
        Vector("5 DISCONNECT with will", server5, first: 0xE0, "04"),
        Vector(
            "5 DISCONNECT with properties", server5, first: 0xE0,
            "00 0E 11 00000000 1F 0001 'x' 26 0000 0000"),
        Vector(
            "5 DISCONNECT with server reference", client5, first: 0xE0, "9C 04 1C 0001 's'"),
        Vector("5 AUTH", server5, first: 0xF0, "18 08 15 0001 'm' 16 0001 'd'"),
        Vector("5 AUTH to a client", client5, first: 0xF0, "00 04 15 0001 'm'"),
        Vector("3.1.1 CONNACK", client4, first: 0x20, "01 00"),
        Vector("3.1.1 CONNACK refused", client4, first: 0x20, "00 05"),
        Vector(
            "5 CONNACK with all properties", client5, first: 0x20,
            """
            01 00 {11 00000001 21 0001 24 01 25 00 27 00000100 12 0001 'a' 22 0001
            28 00 29 00 2A 00 13 0001 1A 0001 'i' 1C 0001 's' 15 0001 'm' 16 0001 'd'
            1F 0001 'r' 26 0000 0000}
            """),
    ]

    @Test(
        "a valid packet decodes whole, byte by byte and many at once",
        arguments: connects + publishes + acknowledgements + subscriptions + others)
    func decodes(vector: Vector) {
        let outcome = decodeEveryWay(vector.packet, vector.options)
        guard case .packet(let canonical) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        // Canonical bytes mean the same packet and stay as they are.
        #expect(decodeOne(canonical, vector.options).outcome == outcome)
        #expect(decodeOne(canonical, vector.options).size == canonical.count)
    }

    @Test(
        "packets in canonical form are encoded byte for byte as they came",
        arguments: publishes + subscriptions + others.filter { $0.name != "PINGREQ" })
    func canonicalStays(vector: Vector) {
        guard !vector.name.contains("3.1 "), !vector.name.contains("5 CONNACK"),
            !vector.name.contains("DISCONNECT with properties")
        else { return }
        #expect(decodeOne(vector.packet, vector.options).outcome == .packet(vector.packet))
    }
}
