import Base
import KV

/// A batch of route changes for one range, being encoded: the body of a dist command.
///
/// ```
///  command:  version u8 (1), count u32, items (see RouteItem)
///  result:   version u8 (1), count u32, then a RouteCode for each item
/// ```
/// All routes of a command must lie in one range; the caller groups them by `DistKeys.routingKey`.
package struct RouteCommandEncoder: ~Copyable {
    package static let formatVersion: UInt8 = 1
    package private(set) var writer: ByteWriter
    /// Items so far; at most `DistLimits.itemsPerCommand`.
    package private(set) var count = 0

    package init() {
        writer = ByteWriter(capacity: 128)
        writer.append(Self.formatVersion)
        writer.append(bigEndian: UInt32(0))
    }

    /// Adds a route, or replaces its token, incarnation and options. A group that would come to
    /// have more than `membersMax` members refuses.
    package mutating func add(_ route: Route, membersMax: UInt32 = .max) {
        route.withItem(.add, membersMax: membersMax) { append($0) }
    }

    /// Removes a route if token (transient) or incarnation (stored) is still the route's.
    package mutating func remove(_ route: Route) {
        route.withItem(.remove) { append($0) }
    }

    /// Makes void every route of this node with this epoch or an earlier one. Every range must
    /// be told.
    package mutating func fence(_ node: NodeID, through epoch: LivenessEpoch) {
        var item = RouteItem()
        item.action = .fence
        item.place.node = node
        item.epoch = epoch
        append(item)
    }

    package mutating func removeAll() {
        writer.truncate(to: 1)
        writer.append(bigEndian: UInt32(0))
        count = 0
    }

    private mutating func append(_ item: RouteItem) {
        item.encode(into: &writer)
        count += 1
        writer.patch(bigEndian: UInt32(count), at: 1)
    }
}

/// The result of a dist command: one code for each item.
package enum RouteResultDecoder {
    /// Nil if the bytes are no result. Items that the machine could not read are `.malformed`.
    package static func codes(_ result: RawSpan) -> [RouteCode]? {
        var reader = ByteReader(result)
        do throws(ByteShortage) {
            guard try reader.readUInt8(result) == RouteCommandEncoder.formatVersion else {
                return nil
            }
            let count = Int(try reader.readUInt32(result))
            guard reader.remaining == count else { return nil }
            var codes: [RouteCode] = []
            codes.reserveCapacity(count)
            for _ in 0..<count {
                codes.append(RouteCode(rawValue: try reader.readUInt8(result)) ?? .malformed)
            }
            return codes
        } catch {
            return nil
        }
    }
}

/// Who speaks in a message between a machine and a worker: range and boundary version.
///
/// Layout: store u8, number u64, boundary version u64.
package struct DistRangeStamp: Hashable, Sendable {
    package var range: RangeID
    package var boundaryVersion: UInt64

    package init(range: RangeID, boundaryVersion: UInt64) {
        self.range = range
        self.boundaryVersion = boundaryVersion
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(rangeID: range)
        writer.append(bigEndian: boundaryVersion)
    }

    init(_ bytes: RawSpan, reader: inout ByteReader) throws(ByteShortage) {
        range = try reader.readRangeID(bytes)
        boundaryVersion = try reader.readUInt64(bytes)
    }
}

/// Questions to a dist range.
///
/// ```
///  question: version u8 (1), op u8 (1 match), count u32, then for each topic:
///            areas u8, tenant s16, topic s16, cursor s16 (empty: from the beginning)
///            op u8 (2 count): nothing else
///  answer:   version u8 (1), op u8, stamp (range id 9, boundary version u64), patch number u64,
///            count u32, then for each topic:
///            flags u8 (1 more, 2 begin again), bytes u32, receivers, cursor s16
///            or for op 2: routes u64, filters u64, bytes u64
///  receiver: tag u8 and
///              1 transient: node u64, worker u16, token u64
///              2 stored:    client id s16, incarnation u64, options u8, subscription id u32
///              3 filter:    id u64                 (of the stored receivers that follow)
///              4 group:     kind u8, name s16, filter s16  (of the members that follow)
///              5, 6 member: as 1, 2
/// ```
package enum DistQuestion {
    package static let formatVersion: UInt8 = 1
    static let match: UInt8 = 1
    static let count: UInt8 = 2

    /// Flags of a topic's answer: receivers are left, the cursor says from where; or what was
    /// answered before is void and the question must begin again without a cursor.
    static let more: UInt8 = 1
    static let beginAgain: UInt8 = 2

    static let transientTag: UInt8 = 1
    static let storedTag: UInt8 = 2
    static let filterTag: UInt8 = 3
    static let groupTag: UInt8 = 4
    static let memberTransientTag: UInt8 = 5
    static let memberStoredTag: UInt8 = 6

    /// Begins a question about topics; returns where the count is to be patched by `endMatch`.
    package static func beginMatch(_ writer: inout ByteWriter) -> Int {
        writer.append(formatVersion)
        writer.append(match)
        writer.append(bigEndian: UInt32(0))
        return writer.count - 4
    }

    package static func appendTopic(
        tenant: [UInt8], topic: UnsafeRawBufferPointer, areas: MatchAreas = .both,
        cursor: [UInt8] = [], into writer: inout ByteWriter
    ) {
        writer.append(areas.rawValue)
        writer.append(lengthPrefixed16: tenant)
        writer.append(string16: topic)
        writer.append(lengthPrefixed16: cursor)
    }

    package static func endMatch(_ writer: inout ByteWriter, at mark: Int, count: Int) {
        writer.patch(bigEndian: UInt32(count), at: mark)
    }

    /// A question for the number of routes, for the API.
    package static func writeCount(_ writer: inout ByteWriter) {
        writer.append(formatVersion)
        writer.append(count)
    }
}

/// Which filters a question is about. A range may hold both areas.
package enum MatchAreas: UInt8, Sendable {
    /// The filter equal to the topic: asked of the range at `DistKeys.exactKey`.
    case exact = 1
    /// Filters with wildcards: asked of every range in `DistKeys.wildcardBounds`.
    case wildcard = 2
    case both = 3
}

/// The answer of one range about its topics, in place.
package struct MatchAnswer {
    package var stamp: DistRangeStamp
    /// The range's patches up to this number are contained in the answer.
    package var patchNumber: UInt64
    /// Topics that follow, in the order of the question.
    package var count: Int
    /// Position of the first topic's answer.
    package var reader: ByteReader

    /// Nil if the bytes are no answer.
    package init?(_ bytes: RawSpan) {
        var reader = ByteReader(bytes)
        do throws(ByteShortage) {
            guard try reader.readUInt8(bytes) == DistQuestion.formatVersion,
                try reader.readUInt8(bytes) == DistQuestion.match
            else { return nil }
            stamp = try DistRangeStamp(bytes, reader: &reader)
            patchNumber = try reader.readUInt64(bytes)
            count = Int(try reader.readUInt32(bytes))
            self.reader = reader
        } catch {
            return nil
        }
    }

    /// The next topic's part of the answer; nil if the bytes end too early.
    package mutating func nextTopic(_ bytes: RawSpan) -> TopicAnswer? {
        do throws(ByteShortage) {
            let flags = try reader.readUInt8(bytes)
            let receivers = try reader.takeLengthPrefixed32(bytes)
            let cursor = try reader.takeLengthPrefixed16(bytes)
            return TopicAnswer(flags: flags, receivers: receivers, cursor: cursor)
        } catch {
            return nil
        }
    }
}

/// One topic's part of a `MatchAnswer`, by position.
package struct TopicAnswer: Equatable {
    package var flags: UInt8
    package var receivers: ByteRange
    package var cursor: ByteRange

    package var hasMore: Bool { flags & DistQuestion.more != 0 }
    package var mustBeginAgain: Bool { flags & DistQuestion.beginAgain != 0 }
}
