import Base
import KV

/// The limits of retained messages' tables and messages.
package enum RetainLimits {
    /// Items of one command: their results must fit into a range's result.
    package static let itemsPerCommand = 4_096
    /// Bytes of one range's topics in memory: half of what handles can address.
    package static let rangeBytesMax = 1 << 32
    /// Messages in one page, whatever the question asks for.
    package static let pageMessages = 1_024
    /// Bytes of records in one page, whatever the question asks for; one record always fits.
    package static let pageBytes = 1 << 20
    /// Topics compared for one page. A page that ends by it goes on in the next question.
    package static let pageVisits = 4_096
    /// Pages whose bodies are being read at once; further questions are answered `busy`.
    package static let openReadsMax = 1_024
    /// Expired messages removed in one slice.
    package static let expirySlice = 512
    /// Topics of a tenant removed by one command; the proposer repeats it until none is left.
    package static let expireTenantSlice = 1_024
    /// Topics sampled for the middle of a range.
    package static let middleSamples = 1_024
}

/// What became of one item of a retain command: a byte in the command's result.
package enum RetainCode: UInt8, Sendable, CaseIterable {
    case stored = 0
    case replaced = 1
    case cleared = 2
    /// Nothing was retained for the topic.
    case absent = 3
    /// Some of the tenant's topics were removed; the version counts those that are left.
    case tenantExpired = 4

    /// The tenant has as many retained topics in this range as the command allows.
    case topicsFull = 16
    /// The tenant's records would have more bytes in this range than the command allows.
    case bytesFull = 17
    /// The bytes are no item.
    case malformed = 18
    /// The range holds as much as it may (`RetainLimits`).
    case rangeFull = 19

    package var isDone: Bool { rawValue < 16 }
}

/// Code and version of one item. A version is the topic's own number for what is retained: it
/// rises with every change of any topic of the range, so a copy with a version at or below the
/// replayed one is the same message or an older one.
package struct RetainResult: Equatable, Sendable {
    package var code: RetainCode
    package var version: UInt64

    package init(code: RetainCode, version: UInt64) {
        self.code = code
        self.version = version
    }
}

/// What an item of a command does.
enum RetainAction: UInt8 {
    case set = 1
    case clear = 2
    case expireTenant = 3
}

/// A batch of retained messages for one range, being encoded.
///
/// ```
///  command:  version u8 (1), count u32, items
///  set:      1 u8, tenant s16, topic s16, seconds u32 until expiry (FFFFFFFF: never),
///            topics max u32, bytes max u64, record s32
///  clear:    2 u8, tenant s16, topic s16
///  expire:   3 u8, tenant s16
///  result:   version u8 (1), count u32, then for each item: RetainCode u8, version u64
/// ```
/// All topics of a command must lie in one range; `RetainKeys.routingKey` tells.
package struct RetainCommandEncoder: ~Copyable {
    package static let formatVersion: UInt8 = 1
    /// Seconds that mean: does not expire.
    package static let never: UInt32 = .max
    package private(set) var writer: ByteWriter
    /// Items so far; at most `RetainLimits.itemsPerCommand`.
    package private(set) var count = 0

    package init() {
        writer = ByteWriter(capacity: 256)
        writer.append(Self.formatVersion)
        writer.append(bigEndian: UInt32(0))
    }

    /// Retains a record. The limits are the tenant's share of one range.
    package mutating func set(
        tenant: [UInt8], topic: [UInt8], record: RawSpan, expirySeconds: UInt32 = never,
        topicsMax: UInt32 = .max, bytesMax: UInt64 = .max
    ) {
        begin(.set, tenant)
        writer.append(lengthPrefixed16: topic)
        writer.append(bigEndian: expirySeconds)
        writer.append(bigEndian: topicsMax)
        writer.append(bigEndian: bytesMax)
        writer.append(lengthPrefixed32: record)
    }

    /// Forgets what is retained for a topic: a PUBLISH with retain and no payload.
    package mutating func clear(tenant: [UInt8], topic: [UInt8]) {
        begin(.clear, tenant)
        writer.append(lengthPrefixed16: topic)
    }

    /// Removes a slice of everything a tenant has retained in the range. To be repeated in every
    /// range until the result's version, which counts what is left, is 0.
    package mutating func expireTenant(_ tenant: [UInt8]) {
        begin(.expireTenant, tenant)
    }

    package mutating func removeAll() {
        writer.truncate(to: 1)
        writer.append(bigEndian: UInt32(0))
        count = 0
    }

    private mutating func begin(_ action: RetainAction, _ tenant: [UInt8]) {
        count += 1
        writer.patch(bigEndian: UInt32(count), at: 1)
        writer.append(action.rawValue)
        writer.append(lengthPrefixed16: tenant)
    }
}

/// The result of a retain command.
package enum RetainResultDecoder {
    /// One result for each item; nil if the bytes are no result.
    package static func results(_ result: RawSpan) -> [RetainResult]? {
        var reader = ByteReader(result)
        do throws(ByteShortage) {
            guard try reader.readUInt8(result) == RetainCommandEncoder.formatVersion else {
                return nil
            }
            let count = Int(try reader.readUInt32(result))
            guard reader.remaining == count * 9 else { return nil }
            var results: [RetainResult] = []
            for _ in 0..<count {
                let code = RetainCode(rawValue: try reader.readUInt8(result)) ?? .malformed
                results.append(
                    RetainResult(code: code, version: try reader.readUInt64(result)))
            }
            return results
        } catch {
            return nil
        }
    }
}

/// The keys of the retain store.
///
/// ```
///  key:    bucket u16 of (tenant, topic), tenant string, topic string
///  value:  version u8 (1), topic version u64, expiry u64 (milliseconds since 1970; all ones:
///          never), record
/// ```
package enum RetainKeys {
    static let valueVersion: UInt8 = 1
    static let valueHead = 17

    /// The whole key of a topic: also where a command or an exact question finds its range.
    package static func routingKey(tenant: [UInt8], topic: [UInt8]) -> [UInt8] {
        tenant.withUnsafeBytes { tenant in
            topic.withUnsafeBytes { key(tenant: tenant, topic: $0) }
        }
    }

    static func key(
        tenant: UnsafeRawBufferPointer, topic: UnsafeRawBufferPointer
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 16 + tenant.count + topic.count)
        writer.append(bigEndian: KeySchema.bucket(tenant: tenant, id: topic))
        writer.append(keyString: tenant)
        writer.append(keyString: topic)
        return writer.array
    }

    static func decode(_ key: RawSpan) -> (tenant: [UInt8], topic: [UInt8])? {
        var reader = ByteReader(key)
        do throws(ByteShortage) {
            _ = try reader.readUInt16(key)
            let tenant = try reader.readKeyString(key)
            let topic = try reader.readKeyString(key)
            return reader.isAtEnd ? (tenant, topic) : nil
        } catch {
            return nil
        }
    }
}

/// Questions to a retain range.
///
/// ```
///  match:    version u8 (1), 1 u8, tenant s16, filter s16, cursor s16 (empty: from the beginning),
///            messages max u32, bytes max u32
///  list:     as match, with 2 u8
///  count:    version u8 (1), 3 u8, tenant s16
///  answer:   version u8 (1), op u8, flags u8 (1 more, 2 busy: ask again), count u32, then
///            match: topic version u64, expiry u64, record s32
///            list:  topic version u64, expiry u64, record bytes u32, topic s16
///            and then cursor s16, the range's last version when the page was chosen u64
///            count: topics u64, bytes u64
/// ```
/// A filter with wildcards is asked of every retain range, one without of the range at
/// `RetainKeys.routingKey`.
package enum RetainQuestion {
    package static let formatVersion: UInt8 = 1
    static let match: UInt8 = 1
    static let list: UInt8 = 2
    static let count: UInt8 = 3
    static let more: UInt8 = 1
    static let busy: UInt8 = 2

    /// Asks for the records of the topics that match, from a cursor on.
    package static func writeMatch(
        tenant: [UInt8], filter: [UInt8], cursor: [UInt8] = [],
        messagesMax: UInt32 = UInt32(RetainLimits.pageMessages),
        bytesMax: UInt32 = UInt32(RetainLimits.pageBytes), into writer: inout ByteWriter
    ) {
        write(match, tenant, filter, cursor, messagesMax, bytesMax, into: &writer)
    }

    /// Asks for topics and sizes only.
    package static func writeList(
        tenant: [UInt8], filter: [UInt8], cursor: [UInt8] = [],
        messagesMax: UInt32 = UInt32(RetainLimits.pageMessages), into writer: inout ByteWriter
    ) {
        write(list, tenant, filter, cursor, messagesMax, .max, into: &writer)
    }

    /// Asks how many topics a tenant has in the range, and the bytes of their records.
    package static func writeCount(tenant: [UInt8], into writer: inout ByteWriter) {
        writer.append(formatVersion)
        writer.append(count)
        writer.append(lengthPrefixed16: tenant)
    }

    private static func write(
        _ op: UInt8, _ tenant: [UInt8], _ filter: [UInt8], _ cursor: [UInt8],
        _ messagesMax: UInt32, _ bytesMax: UInt32, into writer: inout ByteWriter
    ) {
        writer.append(formatVersion)
        writer.append(op)
        writer.append(lengthPrefixed16: tenant)
        writer.append(lengthPrefixed16: filter)
        writer.append(lengthPrefixed16: cursor)
        writer.append(bigEndian: messagesMax)
        writer.append(bigEndian: bytesMax)
    }
}

/// One page of retained messages or of their topics, in place.
package struct RetainAnswer {
    /// One retained message of the page. `record` is empty in a list, `topic` in a match.
    package struct Item: Equatable, Sendable {
        package var version: UInt64
        /// When it expires; `WallTime.distantFuture` for never.
        package var expiry: WallTime
        package var record: ByteRange
        package var recordBytes: UInt32
        package var topic: ByteRange
    }

    package private(set) var items: [Item] = []
    /// The range's last version when the page was chosen. What is newer comes live to whoever had
    /// the route before it asked.
    package private(set) var lastVersion: UInt64 = 0
    /// Where to go on: a following question's cursor. Empty if there is no more.
    package private(set) var cursor: [UInt8] = []
    package private(set) var hasMore = false
    /// The range has too many pages open: ask the same again.
    package private(set) var isBusy = false
    /// Answer to a count.
    package private(set) var topics: UInt64 = 0
    package private(set) var bytes: UInt64 = 0

    /// Nil if the bytes are no answer.
    package init?(_ answer: RawSpan) {
        var reader = ByteReader(answer)
        do throws(ByteShortage) {
            guard try reader.readUInt8(answer) == RetainQuestion.formatVersion else { return nil }
            let op = try reader.readUInt8(answer)
            let flags = try reader.readUInt8(answer)
            hasMore = flags & RetainQuestion.more != 0
            isBusy = flags & RetainQuestion.busy != 0
            if op == RetainQuestion.count {
                topics = try reader.readUInt64(answer)
                bytes = try reader.readUInt64(answer)
                return
            }
            guard op == RetainQuestion.match || op == RetainQuestion.list else { return nil }
            for _ in 0..<(try reader.readUInt32(answer)) {
                items.append(
                    try Self.item(answer, &reader, isList: op == RetainQuestion.list))
            }
            cursor = answer.array(try reader.takeLengthPrefixed16(answer))
            lastVersion = try reader.readUInt64(answer)
        } catch {
            return nil
        }
    }

    private static func item(
        _ answer: RawSpan, _ reader: inout ByteReader, isList: Bool
    ) throws(ByteShortage) -> Item {
        var item = Item(
            version: try reader.readUInt64(answer),
            expiry: WallTime(milliseconds: try reader.readUInt64(answer)), record: .empty,
            recordBytes: 0, topic: .empty)
        if isList {
            item.recordBytes = try reader.readUInt32(answer)
            item.topic = try reader.takeLengthPrefixed16(answer)
        } else {
            item.record = try reader.takeLengthPrefixed32(answer)
            item.recordBytes = item.record.count
        }
        return item
    }
}
