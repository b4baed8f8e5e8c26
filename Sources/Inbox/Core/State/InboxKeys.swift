import Base
import KV

/// The keys of an inbox range (Docs/FORMATS.md).
///
/// ```
///  session rows:  bucket u16 | 1 | tenant string | client id string | kind u8 | suffix
///  shared bodies: bucket u16 | 2 | stamp u64 | ordinal u16
/// ```
/// Strings are those of `KeySchema`; no key of one session is a prefix of another's. A range is cut
/// between buckets: sessions and the bodies that lie beside them stay together.
package enum InboxKeys {
    static let sessionArea: UInt8 = 1
    package static let bodyArea: UInt8 = 2

    /// What a session row is. Numbers are part of the stored format.
    enum RowKind: UInt8 {
        case meta = 1
        case counters = 2
        /// Suffix: filter.
        case subscription = 3
        /// Suffix: sequence u64.
        case entry = 4
        /// Suffix: sequence u64. PUBREC was received (a group's inbox: a member has taken it).
        case inFlight = 5
        /// Suffix: outbox sequence u64.
        case outbox = 6
        /// Suffix: intent number u64.
        case intent = 7
        /// Suffix: packet id u16.
        case inbound = 8
        /// Suffix: identity u64, origin u64.
        case source = 9
        /// Suffix: number u64.
        case will = 10
        /// Suffix: member's client id.
        case member = 11
        /// Suffix: idempotency key.
        case idempotency = 12
    }

    /// The bucket of a session: what spreads sessions over ranges.
    package static func bucket(tenant: [UInt8], clientID: [UInt8]) -> UInt16 {
        KeySchema.bucket(tenant: tenant, id: clientID)
    }

    /// A number for a session's name, the same in every range and release.
    package static func identity(tenant: [UInt8], clientID: [UInt8]) -> UInt64 {
        var writer = ByteWriter(capacity: tenant.count + clientID.count + 2)
        writer.append(lengthPrefixed16: tenant)
        writer.append(clientID)
        return BucketHash.hash(writer.bytes)
    }

    /// The key that decides in which range a session lies: the prefix of all its rows.
    package static func sessionPrefix(_ session: SessionName) -> [UInt8] {
        var writer = ByteWriter(capacity: session.tenant.count + session.clientID.count + 8)
        session.clientID.withUnsafeBytes {
            appendSession(
                &writer, bucket: bucket(tenant: session.tenant, clientID: session.clientID),
                tenant: session.tenant, clientID: $0)
        }
        return writer.array
    }

    static func appendSession(
        _ writer: inout ByteWriter, bucket: UInt16, tenant: [UInt8],
        clientID: UnsafeRawBufferPointer
    ) {
        writer.append(bigEndian: bucket)
        writer.append(sessionArea)
        writer.append(keyString: tenant)
        writer.append(keyString: clientID)
    }

    static func appendBody(_ writer: inout ByteWriter, bucket: UInt16, id: BodyID) {
        writer.append(bigEndian: bucket)
        writer.append(bodyArea)
        writer.append(bigEndian: id.stamp)
        writer.append(bigEndian: id.ordinal)
    }

    /// The first key of a bucket: where ranges may be cut.
    package static func bucketStart(_ bucket: UInt16) -> [UInt8] {
        [UInt8(bucket >> 8), UInt8(bucket & 0xFF)]
    }

    /// A shared group's inbox, as the client id of a session: begins with a zero byte, which no
    /// client id contains [MQTT-1.5.4-2].
    package static func groupID(share: String, group: [UInt8], filter: [UInt8]) -> [UInt8] {
        [0] + Array(share.utf8) + [0x2F] + group + [0x2F] + filter
    }

    /// A publisher without a session (the API, a re-dispatching group), as the client id of one.
    package static func publisherID(_ name: [UInt8]) -> [UInt8] { [0, 0] + name }
}

/// Names a shared body within its bucket: range time and index of the command, message in it.
struct BodyID: Hashable {
    var stamp: UInt64
    var ordinal: UInt16

    /// A number that is new for every command: milliseconds above the low bits of entry and place
    /// in it, so that it stays new when a session comes to another range whose log is shorter. An
    /// entry has at most 1,024 commands, and a range commits less than 1,024 entries a
    /// millisecond.
    static func stamp(_ time: WallTime, _ position: ApplyPosition) -> UInt64 {
        (time.milliseconds << 20) | ((position.index << 10 | UInt64(position.ordinal)) & 0xF_FFFF)
    }
}
