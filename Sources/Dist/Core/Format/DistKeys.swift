import Base
import KV

/// The keys of the dist store.
///
/// ```
///  exact area:     01, bucket u16 of (tenant, filter), tenant string, filter string, receiver
///  wildcard area:  02, tenant string, filter string, receiver
///  receiver:       01 node u64 epoch u64 worker u16                   transient
///                  02 client id string                                stored
///                  03 | 04 group string, 01 node u64 epoch u64 worker u16 token u64
///                  03 | 04 group string, 02 client id string          member of $share | $oshare
///  value:          version u8 (1): transient: token u64 (members: nothing)
///                                  stored: incarnation u64, options u8, subscription id u32
///  fence:          the range's first key, 00 00 FE, node u64; value: FE, epoch u64
/// ```
/// Strings are escaped and ended as `KeySchema` says. The fence's key sorts inside its range and
/// equals no route's key, since no filter is empty.
package enum DistKeys {
    static let valueVersion: UInt8 = 1
    package static let fenceValue: UInt8 = 0xFE
    static let fenceMark: [UInt8] = [0, 0, 0xFE]

    /// The key by which a command about a filter, or a question about a topic, finds its range:
    /// everything before the receiver.
    package static func routingKey(tenant: [UInt8], filter: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        tenant.withUnsafeBytes { tenant in
            filter.withUnsafeBytes { append(tenant: tenant, filter: $0, into: &writer) }
        }
        return writer.array
    }

    /// Where the exact filter equal to a topic lies.
    package static func exactKey(tenant: [UInt8], topic: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        tenant.withUnsafeBytes { tenant in
            topic.withUnsafeBytes { appendExact(tenant: tenant, filter: $0, into: &writer) }
        }
        return writer.array
    }

    /// The wildcard area of a tenant: every range that overlaps it must be asked about a topic.
    package static func wildcardBounds(tenant: [UInt8]) -> KeyBounds {
        var writer = ByteWriter(capacity: 64)
        writer.append(KeySchema.distWildcardArea)
        writer.append(keyString: tenant)
        return KeyBounds(prefix: writer.array)
    }

    static func append(
        tenant: UnsafeRawBufferPointer, filter: UnsafeRawBufferPointer,
        into writer: inout ByteWriter
    ) {
        if FilterShape(filter) == .exact {
            appendExact(tenant: tenant, filter: filter, into: &writer)
        } else {
            writer.append(KeySchema.distWildcardArea)
            writer.append(keyString: tenant)
            writer.append(keyString: filter)
        }
    }

    static func appendExact(
        tenant: UnsafeRawBufferPointer, filter: UnsafeRawBufferPointer,
        into writer: inout ByteWriter
    ) {
        writer.append(KeySchema.distExactArea)
        writer.append(bigEndian: KeySchema.bucket(tenant: tenant, id: filter))
        writer.append(keyString: tenant)
        writer.append(keyString: filter)
    }

    static func appendReceiver(_ item: RouteItem, into writer: inout ByteWriter) {
        if let groupKind = item.groupKind {
            writer.append(groupKind.rawValue + 2)
            writer.append(keyString: item.group)
        }
        if item.isStored {
            writer.append(RouteItem.storedKind)
            writer.append(keyString: item.clientID)
            return
        }
        writer.append(RouteItem.transientKind)
        writer.append(bigEndian: item.place.node.rawValue)
        writer.append(bigEndian: item.epoch.rawValue)
        writer.append(bigEndian: item.place.worker.rawValue)
        if item.groupKind != nil { writer.append(bigEndian: item.token) }
    }

    static func appendValue(_ item: RouteItem, into writer: inout ByteWriter) {
        writer.append(valueVersion)
        if item.isStored {
            writer.append(bigEndian: item.incarnation)
            writer.append(item.options)
            writer.append(bigEndian: item.subscriptionID)
        } else if item.groupKind == nil {
            writer.append(bigEndian: item.token)
        }
    }

    /// The route of a stored pair; nil if it is none.
    package static func decode(key: RawSpan, value: RawSpan) -> Route? {
        var reader = ByteReader(key)
        do throws(ByteShortage) {
            switch try reader.readUInt8(key) {
            case KeySchema.distExactArea: _ = try reader.readUInt16(key)
            case KeySchema.distWildcardArea: break
            default: return nil
            }
            let tenant = try reader.readKeyString(key)
            let filter = try reader.readKeyString(key)
            var kind = try reader.readUInt8(key)
            var group: RouteGroup?
            if kind > 2 {
                guard let known = GroupKind(rawValue: kind - 2) else { return nil }
                group = RouteGroup(kind: known, name: try reader.readKeyString(key))
                kind = try reader.readUInt8(key)
            }
            var values = ByteReader(value)
            guard try values.readUInt8(value) == valueVersion else { return nil }
            let receiver =
                kind == RouteItem.storedKind
                ? try stored(key, &reader, value, &values)
                : try transient(key, &reader, value, &values, isMember: group != nil)
            return Route(tenant: tenant, filter: filter, group: group, receiver: receiver)
        } catch {
            return nil
        }
    }

    private static func stored(
        _ key: RawSpan, _ reader: inout ByteReader, _ value: RawSpan, _ values: inout ByteReader
    ) throws(ByteShortage) -> RouteReceiver {
        .stored(
            clientID: try reader.readKeyString(key), incarnation: try values.readUInt64(value),
            options: try values.readUInt8(value), subscriptionID: try values.readUInt32(value))
    }

    private static func transient(
        _ key: RawSpan, _ reader: inout ByteReader, _ value: RawSpan, _ values: inout ByteReader,
        isMember: Bool
    ) throws(ByteShortage) -> RouteReceiver {
        let node = NodeID(try reader.readUInt64(key))
        let epoch = LivenessEpoch(try reader.readUInt64(key))
        let worker = WorkerIndex(try reader.readUInt16(key))
        let token = isMember ? try reader.readUInt64(key) : try values.readUInt64(value)
        return .transient(place: Place(node: node, worker: worker), epoch: epoch, token: token)
    }

    /// The nearest key at or after `key` that does not lie between the routes of one filter.
    package static func normalised(_ key: [UInt8]) -> [UInt8]? {
        let span = key.span.bytes
        var reader = ByteReader(span)
        do throws(ByteShortage) {
            switch try reader.readUInt8(span) {
            case KeySchema.distExactArea: _ = try reader.readUInt16(span)
            case KeySchema.distWildcardArea: break
            default: return key
            }
            _ = try reader.skipKeyString(span)
            _ = try reader.skipKeyString(span)
        } catch {
            // Too short to reach into a filter: it lies between filters already.
            return key
        }
        if reader.isAtEnd { return key }
        return KeyBounds.successor(ofPrefix: Array(key[..<reader.offset]))
    }
}

/// What kind of filter some bytes are.
enum FilterShape {
    case exact, wildcard, invalid

    init(_ filter: UnsafeRawBufferPointer) {
        var wild = false
        var levelStart = 0
        for position in 0..<filter.count {
            let byte = filter[position]
            if byte == UInt8(ascii: "/") {
                levelStart = position + 1
            } else if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "#") {
                let isLast = position + 1 == filter.count
                let ends = isLast || filter[position + 1] == UInt8(ascii: "/")
                guard position == levelStart, ends, isLast || byte == UInt8(ascii: "+") else {
                    self = .invalid
                    return
                }
                wild = true
            }
        }
        self = filter.isEmpty ? .invalid : wild ? .wildcard : .exact
    }
}

/// The limits of dist's tables and messages.
package enum DistLimits {
    /// Items of one command: their codes must fit into a range's result.
    package static let itemsPerCommand = 16_384
    /// Bytes of one range's routes in memory: half of what handles can address.
    package static let rangeBytesMax = 1 << 32
    /// Places (node, worker, epoch) that one range can name.
    package static let placesMax = 65_535
    /// Receivers of one topic in one page of an answer, in bytes; the last slice may go beyond it.
    package static let pageBytes = 64 << 10
    /// Bytes of one answer, over all its topics.
    package static let answerBytes = 256 << 10
    /// Trie nodes visited for one page. A page that ends by it goes on in the next question.
    package static let pageVisits = 4_096
    /// Visits of one answer, over all its topics.
    package static let answerVisits = 16_384
    /// Filters sampled for the middle of a range.
    package static let middleSamples = 1_024
    /// Receivers looked at in one slice of sweeping a fenced epoch.
    package static let sweepSlice = 4_096
}
