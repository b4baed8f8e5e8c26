import Base

/// A change of an inbox range, as it is proposed: version u8, kind u8, fields (Docs/FORMATS.md).
///
/// `insert` is the hot one: it is written by `InsertEncoder` and read in place by the machine; the
/// case here serves tests and tools.
package enum InboxCommand: Equatable, Sendable {
    case attach(AttachCommand)
    case detach(DetachCommand)
    case subscribe(SubscribeCommand)
    case unsubscribe(UnsubscribeCommand)
    case completeIntents(CompleteIntentsCommand)
    case insert(InsertCommand)
    case acknowledge(AcknowledgeCommand)
    case outboxPut(OutboxPutCommand)
    case outboxPublish(OutboxPublishCommand)
    case outboxDone(OutboxDoneCommand)
    case pubrelReceived(PubrelReceivedCommand)
    case terminate(TerminateCommand)
    case expireTenant(ExpireTenantCommand)
    case groupJoin(GroupJoinCommand)
    case groupLeave(GroupLeaveCommand)
    case groupTake(GroupTakeCommand)
    case limits(LimitsCommand)

    /// Numbers of the wire format; never reused.
    enum Kind: UInt8 {
        case attach = 1, detach, subscribe, unsubscribe, completeIntents, insert, acknowledge
        case outboxPut, outboxPublish, outboxDone, pubrelReceived, terminate, expireTenant
        case groupJoin, groupLeave, groupTake, limits
    }

    var kind: Kind {
        switch self {
        case .attach: .attach
        case .detach: .detach
        case .subscribe: .subscribe
        case .unsubscribe: .unsubscribe
        case .completeIntents: .completeIntents
        case .insert: .insert
        case .acknowledge: .acknowledge
        case .outboxPut: .outboxPut
        case .outboxPublish: .outboxPublish
        case .outboxDone: .outboxDone
        case .pubrelReceived: .pubrelReceived
        case .terminate: .terminate
        case .expireTenant: .expireTenant
        case .groupJoin: .groupJoin
        case .groupLeave: .groupLeave
        case .groupTake: .groupTake
        case .limits: .limits
        }
    }

    /// The command's bytes.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        encode(into: &writer)
        return writer.array
    }

    /// Appends the command's bytes.
    package func encode(into writer: inout ByteWriter) {
        writer.append(InboxLimits.formatVersion)
        writer.append(kind.rawValue)
        switch self {
        case .attach(let command): command.encode(into: &writer)
        case .detach(let command): command.encode(into: &writer)
        case .subscribe(let command): command.encode(into: &writer)
        case .unsubscribe(let command): command.encode(into: &writer)
        case .completeIntents(let command): command.encode(into: &writer)
        case .insert(let command): command.encode(into: &writer)
        case .acknowledge(let command): command.encode(into: &writer)
        case .outboxPut(let command): command.encode(into: &writer)
        case .outboxPublish(let command): command.encode(into: &writer)
        case .outboxDone(let command): command.encode(into: &writer)
        case .pubrelReceived(let command): command.encode(into: &writer)
        case .terminate(let command): command.encode(into: &writer)
        case .expireTenant(let command): command.encode(into: &writer)
        case .groupJoin(let command): command.encode(into: &writer)
        case .groupLeave(let command): command.encode(into: &writer)
        case .groupTake(let command): command.encode(into: &writer)
        case .limits(let command): command.encode(into: &writer)
        }
    }

    /// Nil for bytes that are no command of a version known here.
    package static func decode(_ bytes: [UInt8]) -> InboxCommand? {
        bytes.withUnsafeBytes { raw in
            var fields = FieldReader(raw)
            guard fields.u8() == InboxLimits.formatVersion, let kind = Kind(rawValue: fields.u8()),
                let command = decode(kind, &fields), fields.isComplete
            else { return nil }
            return command
        }
    }

    static func decode(_ kind: Kind, _ fields: inout FieldReader) -> InboxCommand? {
        let command: InboxCommand =
            switch kind {
            case .attach: .attach(AttachCommand(&fields))
            case .detach: .detach(DetachCommand(&fields))
            case .subscribe: .subscribe(SubscribeCommand(&fields))
            case .unsubscribe: .unsubscribe(UnsubscribeCommand(&fields))
            case .completeIntents: .completeIntents(CompleteIntentsCommand(&fields))
            case .insert: .insert(InsertCommand(&fields))
            case .acknowledge: .acknowledge(AcknowledgeCommand(&fields))
            case .outboxPut: .outboxPut(OutboxPutCommand(&fields))
            case .outboxPublish: .outboxPublish(OutboxPublishCommand(&fields))
            case .outboxDone: .outboxDone(OutboxDoneCommand(&fields))
            case .pubrelReceived: .pubrelReceived(PubrelReceivedCommand(&fields))
            case .terminate: .terminate(TerminateCommand(&fields))
            case .expireTenant: .expireTenant(ExpireTenantCommand(&fields))
            case .groupJoin: .groupJoin(GroupJoinCommand(&fields))
            case .groupLeave: .groupLeave(GroupLeaveCommand(&fields))
            case .groupTake: .groupTake(GroupTakeCommand(&fields))
            case .limits: .limits(LimitsCommand(&fields))
            }
        return fields.isFine ? command : nil
    }
}

/// Names a session: the tenant and the client id (for a group's inbox `InboxKeys.groupID`).
package struct SessionName: Hashable, Sendable {
    package var tenant: [UInt8]
    package var clientID: [UInt8]

    package init(tenant: [UInt8], clientID: [UInt8]) {
        self.tenant = tenant
        self.clientID = clientID
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(lengthPrefixed16: tenant)
        writer.append(lengthPrefixed16: clientID)
    }

    init(_ fields: inout FieldReader) {
        tenant = fields.bytes16()
        clientID = fields.bytes16()
    }
}
