import Base

/// Messages for stored sessions and group inboxes of one tenant: the struct form, for tests and
/// tools. The data path writes the same bytes with `InsertEncoder`.
package struct InsertCommand: Equatable, Sendable {
    /// One message and who receives it.
    package struct Message: Equatable, Sendable {
        package var record: [UInt8]
        /// Remaining message expiry; nil if it never expires.
        package var expirySeconds: UInt32?
        /// The outbox that it comes from, if any.
        package var source: OutboxSource?
        package var receivers: [Receiver]

        package init(
            record: [UInt8], expirySeconds: UInt32? = nil, source: OutboxSource? = nil,
            receivers: [Receiver]
        ) {
            self.record = record
            self.expirySeconds = expirySeconds
            self.source = source
            self.receivers = receivers
        }
    }

    /// One session by its route.
    package struct Receiver: Equatable, Sendable {
        package var clientID: [UInt8]
        package var incarnation: UInt64
        package var options: DeliveryOptions
        package var subscriptionIDs: [UInt32]

        package init(
            clientID: [UInt8], incarnation: UInt64, options: DeliveryOptions,
            subscriptionIDs: [UInt32] = []
        ) {
            self.clientID = clientID
            self.incarnation = incarnation
            self.options = options
            self.subscriptionIDs = subscriptionIDs
        }
    }

    package var tenant: [UInt8]
    package var messages: [Message]

    package init(tenant: [UInt8], messages: [Message]) {
        self.tenant = tenant
        self.messages = messages
    }

    func encode(into writer: inout ByteWriter) {
        var body = InsertEncoder(body: ())
        body.begin(tenant: tenant)
        for message in messages {
            message.record.withUnsafeBytes {
                body.beginMessage(
                    record: $0, expirySeconds: message.expirySeconds, source: message.source)
            }
            for receiver in message.receivers {
                receiver.clientID.withUnsafeBytes {
                    body.addReceiver(
                        clientID: $0, incarnation: receiver.incarnation, options: receiver.options,
                        subscriptionIDs: receiver.subscriptionIDs)
                }
            }
        }
        body.finish()
        writer.append(body.bytes)
    }

    init(_ fields: inout FieldReader) {
        tenant = fields.bytes16()
        messages = fields.list16 { fields in
            var message = Message(record: [], receivers: [])
            let head = InsertMessageHead(&fields)
            message.record = [UInt8](head.record)
            message.expirySeconds = head.expirySeconds
            message.source = head.source
            var left = head.receiverCount
            while fields.isFine, left > 0 {
                let receiver = InsertReceiver(&fields)
                message.receivers.append(
                    Receiver(
                        clientID: [UInt8](receiver.clientID), incarnation: receiver.incarnation,
                        options: receiver.options,
                        subscriptionIDs: receiver.copySubscriptionIDs()))
                left -= 1
            }
            return message
        }
    }
}

/// How a message is delivered to one receiver, one byte on the wire and in store.
@usableFromInline
package struct DeliveryOptions: Equatable, Sendable {
    @usableFromInline package var rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// - Parameters:
    ///   - qos: granted, 0 to 2.
    ///   - queuesQoS0: QoS 0 is kept for an offline session.
    package init(qos: UInt8, retain: Bool = false, queuesQoS0: Bool = false) {
        rawValue = (qos & 3) | (retain ? 4 : 0) | (queuesQoS0 ? 8 : 0)
    }

    package var qos: UInt8 { rawValue & 3 }
    package var retain: Bool { rawValue & 4 != 0 }
    package var queuesQoS0: Bool { rawValue & 8 != 0 }
    /// Only `qos` and `retain`, and `qos` is one of the three.
    var stored: UInt8 { rawValue & 7 }
    var isValid: Bool { rawValue & 3 != 3 && rawValue & 0xF0 == 0 }
}

/// Writes an insert command (or the body of `MessageKind.inboxUnlogged`) as receivers are found.
///
/// ```
///  version u8 | kind u8 | tenant16 | messages u16 | message ...
///  message:  flags u8 (1 expiry, 2 source) | expirySeconds u32 | source 24 bytes, if flagged
///            | record32 | receivers u32 | receiver ...
///  receiver: client id 16 | incarnation u64 | options u8 | ids u8 | subscription id u32 ...
/// ```
/// Bounded by `InboxLimits.receiversPerCommandMax`; the caller starts another command at it.
package struct InsertEncoder: ~Copyable {
    private var writer = ByteWriter(capacity: 512)
    private var messageCountAt = 0
    private var receiverCountAt = 0
    private var messages: UInt16 = 0
    private var receiversOfMessage: UInt32 = 0
    /// Receivers written so far.
    package private(set) var receiverCount = 0

    /// Starts a command for receivers of one tenant.
    package init(tenant: [UInt8]) {
        writer.append(InboxLimits.formatVersion)
        writer.append(InboxCommand.Kind.insert.rawValue)
        begin(tenant: tenant)
    }

    /// Only the fields behind version and kind.
    init(body: Void) {}

    package var bytes: UnsafeRawBufferPointer { writer.bytes }
    package var array: [UInt8] { writer.array }
    package var messageCount: Int { Int(messages) }

    mutating func begin(tenant: [UInt8]) {
        writer.append(lengthPrefixed16: tenant)
        messageCountAt = writer.count
        writer.append(bigEndian: UInt16(0))
    }

    /// Starts the next message; its receivers follow.
    package mutating func beginMessage(
        record: UnsafeRawBufferPointer, expirySeconds: UInt32? = nil, source: OutboxSource? = nil
    ) {
        closeMessage()
        messages += 1
        writer.append((expirySeconds == nil ? 0 : 1) | (source == nil ? 0 : 2))
        writer.append(bigEndian: expirySeconds ?? 0)
        source?.encode(into: &writer)
        writer.append(bytes32: record)
        receiverCountAt = writer.count
        writer.append(bigEndian: UInt32(0))
    }

    package mutating func addReceiver(
        clientID: UnsafeRawBufferPointer, incarnation: UInt64, options: DeliveryOptions,
        subscriptionIDs: [UInt32] = []
    ) {
        writer.append(bytes16: clientID)
        writer.append(bigEndian: incarnation)
        writer.append(options.rawValue)
        // More than 255 matching subscription ids are cut: an MQTT packet of such a size is not
        // worth a wider count in every receiver.
        let ids = subscriptionIDs.prefix(255)
        writer.append(UInt8(truncatingIfNeeded: ids.count))
        for id in ids { writer.append(bigEndian: id) }
        receiversOfMessage += 1
        receiverCount += 1
    }

    private mutating func closeMessage() {
        if receiverCountAt > 0 {
            writer.patch(bigEndian: receiversOfMessage, at: receiverCountAt)
        }
        receiversOfMessage = 0
    }

    /// Writes the counts; the bytes are complete then.
    package mutating func finish() {
        closeMessage()
        writer.patch(bigEndian: messages, at: messageCountAt)
    }
}

/// The head of a message in an insert command, in place.
struct InsertMessageHead {
    var expirySeconds: UInt32?
    var source: OutboxSource?
    var record: UnsafeRawBufferPointer
    var receiverCount: Int

    init(_ fields: inout FieldReader) {
        let flags = fields.u8()
        let seconds = fields.u32()
        expirySeconds = flags & 1 != 0 ? seconds : nil
        source = flags & 2 != 0 ? OutboxSource(&fields) : nil
        record = fields.slice32()
        receiverCount = Int(fields.u32())
    }
}

/// A receiver in an insert command, in place.
struct InsertReceiver {
    var clientID: UnsafeRawBufferPointer
    var incarnation: UInt64
    var options: DeliveryOptions
    /// Big-endian ids of four bytes each.
    var subscriptionIDs: UnsafeRawBufferPointer

    @inline(__always)
    init(_ fields: inout FieldReader) {
        clientID = fields.slice16()
        incarnation = fields.u64()
        options = DeliveryOptions(rawValue: fields.u8())
        subscriptionIDs = fields.slice(Int(fields.u8()) * 4)
        if !options.isValid { fields.fail() }
    }

    func copySubscriptionIDs() -> [UInt32] {
        var reader = FieldReader(subscriptionIDs)
        return (0..<subscriptionIDs.count / 4).map { _ in reader.u32() }
    }
}

/// How far the client's acknowledgement of an entry went.
package enum AcknowledgementKind: UInt8, Sendable, CaseIterable {
    /// PUBACK, PUBCOMP, PUBREC with a reason of 0x80 or above, or QoS 0 sent: the entry is freed.
    case acknowledged = 0
    /// PUBREC: from now on PUBREL is owed.
    case pubrecReceived = 1
    /// Group inboxes only: a member gives the entry back, to be sent to another.
    case released = 2
}

/// Acknowledgements of entries of several sessions of one tenant.
package struct AcknowledgeCommand: Equatable, Sendable {
    /// One entry's acknowledgement.
    package struct Entry: Equatable, Sendable {
        package var sequence: UInt64
        package var kind: AcknowledgementKind
        package init(sequence: UInt64, kind: AcknowledgementKind) {
            self.sequence = sequence
            self.kind = kind
        }
    }

    /// One session's acknowledgements.
    package struct Item: Equatable, Sendable {
        package var clientID: [UInt8]
        /// `.none` for a group's inbox, which has no owner.
        package var ownerEpoch: OwnerEpoch
        package var entries: [Entry]
        package init(clientID: [UInt8], ownerEpoch: OwnerEpoch, entries: [Entry]) {
            self.clientID = clientID
            self.ownerEpoch = ownerEpoch
            self.entries = entries
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
        writer.append(list16: items) { writer, item in
            writer.append(lengthPrefixed16: item.clientID)
            writer.append(bigEndian: item.ownerEpoch.rawValue)
            writer.append(list16: item.entries) {
                $0.append(bigEndian: $1.sequence)
                $0.append($1.kind.rawValue)
            }
        }
    }

    init(_ fields: inout FieldReader) {
        tenant = fields.bytes16()
        items = fields.list16(countMax: InboxLimits.itemsPerCommandMax) { fields in
            Item(
                clientID: fields.bytes16(), ownerEpoch: OwnerEpoch(fields.u64()),
                entries: fields.list16 { fields in
                    let sequence = fields.u64()
                    guard let kind = AcknowledgementKind(rawValue: fields.u8()) else {
                        fields.fail()
                        return Entry(sequence: 0, kind: .acknowledged)
                    }
                    return Entry(sequence: sequence, kind: kind)
                })
        }
    }
}
