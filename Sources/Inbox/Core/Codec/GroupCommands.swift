import Base
import KV

/// The names that sessions join a group under: each names one life of a session, so that an earlier
/// one leaving late takes nothing from a later one.
///
/// ```
///  transient:  00 | node u64 | worker u16 | epoch u64 | connection token u64
///  stored:     01 | incarnation u64 | client id
/// ```
package enum GroupMemberName {
    package static func transient(
        _ place: Place, _ epoch: LivenessEpoch, connectionToken: UInt64
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        writer.append(0)
        writer.append(place: place)
        writer.append(bigEndian: epoch.rawValue)
        writer.append(bigEndian: connectionToken)
        return writer.array
    }

    package static func stored(_ clientID: [UInt8], incarnation: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 16 + clientID.count)
        writer.append(1)
        writer.append(bigEndian: incarnation)
        writer.append(clientID)
        return writer.array
    }
}

/// A session becomes a member of a shared group; the first one creates the group's inbox.
package struct GroupJoinCommand: Equatable, Sendable {
    /// The tenant and `InboxKeys.groupID`.
    package var group: SessionName
    /// Names one life of a member; `GroupMemberName`.
    package var member: [UInt8]
    package var limits: QueueLimits

    package init(group: SessionName, member: [UInt8], limits: QueueLimits) {
        self.group = group
        self.member = member
        self.limits = limits
    }

    func encode(into writer: inout ByteWriter) {
        group.encode(into: &writer)
        writer.append(lengthPrefixed16: member)
        writer.append(bigEndian: limits.messagesMax)
        writer.append(bigEndian: limits.bytesMax)
        writer.append(limits.policy.rawValue)
    }

    init(_ fields: inout FieldReader) {
        group = SessionName(&fields)
        member = fields.bytes16()
        limits = QueueLimits(messagesMax: fields.u32(), bytesMax: fields.u32(), policy: .dropOldest)
        if let policy = QueuePolicy(rawValue: fields.u8()) {
            limits.policy = policy
        } else {
            fields.fail()
        }
    }
}

/// A member's subscription or session has ended; with the last one the group's inbox ends.
package struct GroupLeaveCommand: Equatable, Sendable {
    package var group: SessionName
    package var member: [UInt8]

    package init(group: SessionName, member: [UInt8]) {
        self.group = group
        self.member = member
    }

    func encode(into writer: inout ByteWriter) {
        group.encode(into: &writer)
        writer.append(lengthPrefixed16: member)
    }

    init(_ fields: inout FieldReader) {
        group = SessionName(&fields)
        member = fields.bytes16()
    }
}

/// A member commits itself to QoS 2 messages before it sends them: from then on no other member
/// gets them [MQTT-4.8.2-5].
package struct GroupTakeCommand: Equatable, Sendable {
    package var group: SessionName
    package var member: [UInt8]
    package var sequences: [UInt64]

    package init(group: SessionName, member: [UInt8], sequences: [UInt64]) {
        self.group = group
        self.member = member
        self.sequences = sequences
    }

    func encode(into writer: inout ByteWriter) {
        group.encode(into: &writer)
        writer.append(lengthPrefixed16: member)
        writer.append(list16: sequences) { $0.append(bigEndian: $1) }
    }

    init(_ fields: inout FieldReader) {
        group = SessionName(&fields)
        member = fields.bytes16()
        sequences = fields.list16(countMax: InboxLimits.itemsPerCommandMax) { $0.u64() }
    }
}
