import Base

/// QoS 2 publishes of stored publisher sessions of one tenant: the packet id and the message in
/// one commit, before PUBREC.
package struct OutboxPutCommand: Equatable, Sendable {
    /// One publish.
    package struct Item: Equatable, Sendable {
        package var clientID: [UInt8]
        package var ownerEpoch: OwnerEpoch
        package var packetID: UInt16
        package var record: [UInt8]
        package init(
            clientID: [UInt8], ownerEpoch: OwnerEpoch, packetID: UInt16, record: [UInt8]
        ) {
            self.clientID = clientID
            self.ownerEpoch = ownerEpoch
            self.packetID = packetID
            self.record = record
        }
    }

    package var tenant: [UInt8]
    package var items: [Item]

    package init(tenant: [UInt8], items: [Item]) {
        self.tenant = tenant
        self.items = items
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: tenant)
        writer.append(list16: items) {
            $0.append(lengthPrefixed16: $1.clientID)
            $0.append(bigEndian: $1.ownerEpoch.rawValue)
            $0.append(bigEndian: $1.packetID)
            $0.append(bytes32: $1.record)
        }
    }

    init(_ fields: inout FieldReader) {
        tenant = fields.bytes16()
        items = fields.list16(countMax: InboxLimits.itemsPerCommandMax) {
            Item(
                clientID: $0.bytes16(), ownerEpoch: OwnerEpoch($0.u64()), packetID: $0.u16(),
                record: $0.bytes32())
        }
    }
}

/// A publish that must survive its node without a session: by the API with an idempotency key, or
/// the re-dispatch of a group's message.
package struct OutboxPublishCommand: Equatable, Sendable {
    /// The publisher's own identity; it must not be a client id (`InboxKeys.publisherID`).
    package var publisher: SessionName
    /// Repeats of a key within `InboxLimits.idempotencyMilliseconds` add nothing.
    package var idempotencyKey: [UInt8]
    package var record: [UInt8]

    package init(publisher: SessionName, idempotencyKey: [UInt8], record: [UInt8]) {
        self.publisher = publisher
        self.idempotencyKey = idempotencyKey
        self.record = record
    }

    func encode(into writer: inout ByteWriter) {
        publisher.encode(into: &writer)
        writer.append(lengthPrefixed16: idempotencyKey)
        writer.append(bytes32: record)
    }

    init(_ fields: inout FieldReader) {
        publisher = SessionName(&fields)
        idempotencyKey = fields.bytes16()
        record = fields.bytes32()
    }
}

/// These outbox entries are fanned out: every receiver has them.
package struct OutboxDoneCommand: Equatable, Sendable {
    /// One publisher's finished entries.
    package struct Item: Equatable, Sendable {
        package var clientID: [UInt8]
        package var sequences: [UInt64]
        package init(clientID: [UInt8], sequences: [UInt64]) {
            self.clientID = clientID
            self.sequences = sequences
        }
    }

    package var tenant: [UInt8]
    package var items: [Item]

    package init(tenant: [UInt8], items: [Item]) {
        self.tenant = tenant
        self.items = items
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: tenant)
        writer.append(list16: items) {
            $0.append(lengthPrefixed16: $1.clientID)
            $0.append(list16: $1.sequences) { $0.append(bigEndian: $1) }
        }
    }

    init(_ fields: inout FieldReader) {
        tenant = fields.bytes16()
        items = fields.list16(countMax: InboxLimits.itemsPerCommandMax) {
            Item(clientID: $0.bytes16(), sequences: $0.list16 { $0.u64() })
        }
    }
}

/// PUBREL arrived: the packet ids may be used again.
package struct PubrelReceivedCommand: Equatable, Sendable {
    /// One publisher's released packet ids.
    package struct Item: Equatable, Sendable {
        package var clientID: [UInt8]
        package var ownerEpoch: OwnerEpoch
        package var packetIDs: [UInt16]
        package init(clientID: [UInt8], ownerEpoch: OwnerEpoch, packetIDs: [UInt16]) {
            self.clientID = clientID
            self.ownerEpoch = ownerEpoch
            self.packetIDs = packetIDs
        }
    }

    package var tenant: [UInt8]
    package var items: [Item]

    package init(tenant: [UInt8], items: [Item]) {
        self.tenant = tenant
        self.items = items
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: tenant)
        writer.append(list16: items) {
            $0.append(lengthPrefixed16: $1.clientID)
            $0.append(bigEndian: $1.ownerEpoch.rawValue)
            $0.append(list16: $1.packetIDs) { $0.append(bigEndian: $1) }
        }
    }

    init(_ fields: inout FieldReader) {
        tenant = fields.bytes16()
        items = fields.list16(countMax: InboxLimits.itemsPerCommandMax) {
            Item(
                clientID: $0.bytes16(), ownerEpoch: OwnerEpoch($0.u64()),
                packetIDs: $0.list16 { $0.u16() })
        }
    }
}
