import Base
import MQTT
import TestKit
import Testing

@Suite("Message record")
struct RecordTests {
    static let fields = MessageRecordFields(
        qos: .exactlyOnce, retain: true, expirySeconds: 60,
        publishedAt: WallTime(milliseconds: 0x0102_0304_0506_0708),
        publisherHash: MessageRecord.publisherHash(
            tenant: Array("t1".utf8), clientID: Array("c".utf8)))

    static func record(_ fields: MessageRecordFields) -> [UInt8] {
        var writer = ByteWriter()
        let (tenant, client, topic) = (Array("t1".utf8), Array("c".utf8), Array("a/b".utf8))
        let (properties, payload) = (bytes("01 01"), Array("hello".utf8))
        MessageRecordEncoding(
            fields, tenantSize: 2, clientIDSize: 1, topicSize: 3, propertiesSize: 2, payloadSize: 5
        ).write(
            into: &writer, tenant: tenant.span.bytes, clientID: client.span.bytes,
            topic: topic.span.bytes, properties: properties.span.bytes,
            payload: payload.span.bytes)
        return writer.array
    }

    @Test("version 1 has these bytes")
    func goldenBytes() {
        let expected = bytes(
            """
            01 30 0E 00 0000003C 0102030405060708 935060B8D4CD87FA
            0002 0001 0003 0000 00000002 00000005 0000000000000000
            't1' 'c' ('a/b') 01 01 'hello'
            """)
        #expect(Self.record(Self.fields) == expected)
    }

    /// The fault of a record, or nil.
    func fault(_ record: [UInt8]) -> MessageRecordFault? {
        record.withRawSpan { span in
            do throws(MessageRecordFault) {
                _ = try MessageRecordView.decode(span)
                return nil
            } catch {
                return error
            }
        }
    }

    @Test("both readers give back what was written")
    func readsBack() throws {
        let record = Self.record(Self.fields)
        let view = try #require(record.withRawSpan { try? MessageRecordView.decode($0) })
        #expect(view == record.withRawSpan { MessageRecordView(trusted: $0) })
        #expect(view.fields == Self.fields)
        #expect(record[view.tenant.range].elementsEqual("t1".utf8))
        #expect(record[view.clientID.range].elementsEqual("c".utf8))
        #expect(record[view.topic.range].elementsEqual("a/b".utf8))
        #expect(Array(record[view.prefixedTopic.range]) == bytes("('a/b')"))
        #expect(Array(record[view.properties.range]) == bytes("01 01"))
        #expect(record[view.payload.range].elementsEqual("hello".utf8))
    }

    @Test("a longer header of a later release is skipped, its unknown flags ignored")
    func laterFields() throws {
        var record = Self.record(Self.fields)
        record[1] = 52
        record[2] |= 0xF0
        record.insert(contentsOf: [1, 2, 3, 4], at: 48)
        let view = try #require(record.withRawSpan { try? MessageRecordView.decode($0) })
        #expect(view.fields == Self.fields)
        #expect(record[view.payload.range].elementsEqual("hello".utf8))
    }

    @Test("damaged records are refused by name")
    func damaged() {
        let good = Self.record(Self.fields)
        for count in 0..<good.count {
            let expected: MessageRecordFault = count < 40 ? .tooShort : .sizeMismatch
            #expect(fault(Array(good.prefix(count))) == expected)
        }
        #expect(fault(good + [0]) == .sizeMismatch)
        func changed(_ index: Int, _ byte: UInt8) -> [UInt8] {
            var record = good
            record[index] = byte
            return record
        }
        #expect(fault(changed(0, 2)) == .versionUnknown)
        #expect(fault(changed(1, 39)) == .headerSizeInvalid)
        #expect(fault(changed(2, 3)) == .qosInvalid)
        #expect(fault(changed(36, 0xFF)) == .sizeMismatch)
        #expect(fault(changed(52, 9)) == .topicLengthMismatch)
    }

    @Test("the version of a retained topic is noted in records that are to be retained, only there")
    func retainVersion() {
        for isRetained in [true, false] {
            var fields = Self.fields
            fields.retain = isRetained
            var record = Self.record(fields)
            #expect(record.count == (isRetained ? 48 : 40) + 2 + 1 + 2 + 3 + 2 + 5)
            #expect(record.withUnsafeBytes { MessageRecord.retainVersion(of: $0) } == 0)
            let before = record
            record.withUnsafeMutableBytes { MessageRecord.setRetainVersion(7, in: $0) }
            #expect(
                record.withUnsafeBytes { MessageRecord.retainVersion(of: $0) }
                    == (isRetained ? 7 : 0))
            #expect((record == before) == !isRetained)
        }
    }

    @Test("random damage is read without harm", arguments: Seed.series(20))
    func randomDamage(seed: Seed) {
        var random = seed.random()
        for _ in 0..<500 {
            var record = Self.record(Self.fields)
            for _ in 0...random.below(4) {
                record[random.below(record.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            record.withRawSpan { span in
                guard let view = try? MessageRecordView.decode(span) else { return }
                #expect(view.payload.end == span.byteCount)
            }
        }
    }

    @Test("the remaining expiry rounds up, ends at zero and never grows")
    func remainingExpiry() {
        var fields = Self.fields
        fields.publishedAt = WallTime(milliseconds: 10_000)
        fields.expirySeconds = 5
        let record = Self.record(fields)
        let view = record.withRawSpan { MessageRecordView(trusted: $0) }
        func left(_ milliseconds: UInt64) -> UInt32? {
            view.remainingExpiry(at: WallTime(milliseconds: milliseconds))
        }
        #expect(left(10_000) == 5)
        #expect(left(10_001) == 5)
        #expect(left(11_000) == 4)
        #expect(left(14_999) == 1)
        #expect(left(15_000) == 0)
        #expect(left(99_000) == 0)
        #expect(left(1) == 5)
        fields.expirySeconds = nil
        let eternal = Self.record(fields).withRawSpan { MessageRecordView(trusted: $0) }
        #expect(eternal.remainingExpiry(at: .distantFuture) == nil)
        #expect(eternal.expiresAt == nil)
    }
}
