import Base
import Dist
import Inbox
import KV
import MQTT
import Policy

/// Sessions through the door: lists, details, and their end.
///
/// Stored sessions are listed by their ranges, connected transient ones by the workers that serve
/// them. The leader of a client id's range knows who owns it.
extension Worker {
    // MARK: Lists

    func listStored(_ list: DoorList, _ ticket: UInt64) {
        guard let cursor = DoorCursor(list.cursor) else {
            return answerDoor(ticket, .refused(.malformed))
        }
        let question = InboxQuestion.list(
            ListQuestion(
                tenant: list.tenant.bytes, cursor: cursor.inner,
                limit: UInt32(min(list.limit, DoorLimits.pageMax))))
        let task = DoorTask(ticket: ticket, step: .storedSessions(list, key: cursor.key))
        if !ask(.inbox, cursor.key, .door(task), question.encoded) {
            answerDoor(ticket, .refused(.busy))
        }
    }

    func storedListed(
        _ list: DoorList, _ key: [UInt8], _ ticket: UInt64, _ result: RawSpan
    ) {
        guard let answer = ListAnswer.decode(result.array) else {
            return answerDoor(ticket, .refused(.unavailable))
        }
        var page = DoorSessionPage()
        for summary in answer.sessions where summary.isStored {
            let session = DoorSession(summary)
            if list.admits(session.clientID, isOnline: session.isOnline) {
                page.sessions.append(session)
            }
        }
        if !answer.cursor.isEmpty {
            page.cursor = DoorCursor.encode(key: key, inner: answer.cursor)
        } else if let next = client.map.descriptor(.inbox, at: key)?.bounds.end {
            page.cursor = DoorCursor.encode(key: next, inner: [])
        }
        answerDoor(ticket, .sessionPage(page))
    }

    /// Transient sessions of this worker, in the order of their cells. The cursor is the cell to go
    /// on with.
    func listConnected(_ list: DoorList, _ ticket: UInt64) {
        var page = DoorSessionPage()
        guard var index = Self.cell(list.cursor), list.presence != .offline,
            let tenant = tenants.slot(of: list.tenant)
        else { return answerDoor(ticket, .sessionPage(page)) }
        let end = min(liveGenerations.count, index + DoorLimits.scanMax)
        while index < end, page.sessions.count < list.limit {
            if liveGenerations[index] != 0 {
                let session = sessions[pointer: Int32(index)]
                if session.pointee.phase == .live, !session.pointee.machine.isStored,
                    session.pointee.tenant == tenant,
                    list.admits(session.pointee.clientID, isOnline: true)
                {
                    page.sessions.append(summary(session, Int32(index)))
                }
            }
            index += 1
        }
        if index < liveGenerations.count {
            var writer = ByteWriter(capacity: 4)
            writer.append(bigEndian: UInt32(index))
            page.cursor = writer.array
        }
        answerDoor(ticket, .sessionPage(page))
    }

    /// Nil for bytes that are no cursor of ours.
    private static func cell(_ cursor: [UInt8]) -> Int? {
        if cursor.isEmpty { return 0 }
        guard cursor.count == 4 else { return nil }
        return cursor.reduce(0) { $0 << 8 | Int($1) }
    }

    private func summary(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) -> DoorSession {
        var summary = DoorSession(clientID: session.pointee.clientID)
        summary.user = session.pointee.principal
        summary.isOnline = true
        summary.owner = DoorSession.Owner(
            place: place, token: connectionToken(session, index))
        summary.hasWill = session.pointee.rare?.will != nil
        summary.subscriptionCount = UInt32(session.pointee.filters.count)
        summary.queuedMessages = UInt32(session.pointee.machine.queue.count)
        summary.queuedBytes = UInt64(session.pointee.machine.queue.byteCount)
        return summary
    }

    // MARK: One session

    func recordShown(_ name: DoorSessionName, _ ticket: UInt64, _ result: RawSpan) {
        let summary = SessionSummary.decode(result.array)
        let record = summary.flatMap { $0.isStored ? DoorSession($0) : nil }
        askInbox(
            .owner(name.inboxName), name,
            DoorTask(ticket: ticket, step: .owner(record, clientID: name.clientID)))
    }

    func ownerShown(
        _ record: DoorSession?, _ clientID: [UInt8], _ ticket: UInt64, _ result: RawSpan
    ) {
        var session = record ?? DoorSession(clientID: clientID)
        if let owner = OwnerAnswer.decode(result.array) {
            session.isOnline = true
            session.owner = DoorSession.Owner(place: owner.place, token: owner.connectionToken)
            if record == nil { session.user = owner.principal }
        } else if record == nil {
            return answerDoor(ticket, .refused(.notFound))
        }
        answerDoor(ticket, .session(session))
    }

    func subscriptionsShown(_ ticket: UInt64, _ result: RawSpan) {
        guard let answer = SubscriptionsAnswer.decode(result.array) else {
            return answerDoor(ticket, .refused(.notFound))
        }
        let items = answer.subscriptions.map {
            DoorSubscription(
                filter: $0.filter, options: SubscriptionOptions(rawValue: $0.options),
                subscriptionID: $0.subscriptionID)
        }
        answerDoor(ticket, .subscriptionPage(items, hasMore: answer.hasMore))
    }

    // MARK: Connections

    /// Calls `body` with the session if it is the connection that was named.
    func withConnection(
        _ name: DoorConnectionName, _ ticket: UInt64,
        _ body: (UnsafeMutablePointer<Session>, Int32) -> Void
    ) {
        let ref = sessionRef(ofToken: name.token)
        guard let session = find(ref), session.pointee.phase == .live,
            session.pointee.clientID == name.session.clientID,
            tenantBytes(session.pointee.tenant) == name.session.tenant.bytes
        else { return answerDoor(ticket, .refused(.moved)) }
        body(session, ref.index)
    }

    func describe(_ session: UnsafeMutablePointer<Session>) -> DoorConnection {
        let outside = port.describe(
            session.pointee.connection, listener: session.pointee.listener)
        var connection = DoorConnection()
        connection.peer = session.pointee.rare?.peer?.text ?? outside.peer
        connection.listener = outside.listener
        connection.isWebSocket = outside.isWebSocket
        connection.version = session.pointee.machine.version
        connection.keepAlive = session.pointee.keepAlive
        connection.connectedAt = UInt64(session.pointee.connectedAtSeconds) * 1_000
        connection.inFlight = UInt32(session.pointee.machine.outbound.inFlight)
        connection.queuedMessages = UInt32(session.pointee.machine.queue.count)
        connection.subscriptionCount = UInt32(session.pointee.filters.count)
        connection.receiveMaximum = session.pointee.machine.receiveMaximum
        return connection
    }

    func subscriptionPage(
        _ session: UnsafeMutablePointer<Session>, _ index: Int32, skip: Int
    ) -> DoorAnswer {
        let total = session.pointee.filters.count
        let slots = session.pointee.filters.page(from: skip, limit: DoorLimits.pageMax)
        let items = slots.compactMap { slot -> DoorSubscription? in
            guard let filter = filters.filter(slot: slot),
                let subscriber = filters.subscriber(session: index, slot: slot)
            else { return nil }
            return DoorSubscription(
                filter: [UInt8](filter.filter),
                options: SubscriptionOptions(rawValue: subscriber.options),
                subscriptionID: subscriber.subscriptionID)
        }
        return .subscriptionPage(items, hasMore: total - skip > DoorLimits.pageMax)
    }

    // MARK: The end of a session

    /// Whether there is a connection decides what is said if nothing is stored.
    func ownerToEnd(
        _ name: DoorSessionName, _ publishesWill: Bool, _ ticket: UInt64, _ result: RawSpan
    ) {
        let task = DoorTask(
            ticket: ticket,
            step: .terminate(wasOnline: OwnerAnswer.decode(result.array) != nil))
        let command = InboxCommand.terminate(
            TerminateCommand(session: name.inboxName, publishesWill: publishesWill))
        let key = InboxKeys.sessionPrefix(name.inboxName)
        if !propose(.inbox, key, .door(task), { command.encode(into: &$0) }) {
            answerDoor(ticket, .refused(.busy))
        }
    }

    func terminated(_ wasOnline: Bool, _ ticket: UInt64, _ result: RawSpan) {
        let isDone = wasOnline || InboxResult.status(of: result.array) == .ok
        answerDoor(ticket, isDone ? .done : .refused(.notFound))
    }
}

extension DoorSessionName {
    var inboxName: SessionName { SessionName(tenant: tenant.bytes, clientID: clientID) }
}

extension DoorList {
    func admits(_ clientID: [UInt8], isOnline: Bool) -> Bool {
        guard clientID.starts(with: pattern) else { return false }
        switch presence {
        case .any: return true
        case .online: return isOnline
        case .offline: return !isOnline
        }
    }
}

extension DoorSession {
    init(_ summary: SessionSummary) {
        self.init(clientID: summary.clientID)
        user = summary.principal
        isStored = summary.isStored
        isOnline = summary.isAttached
        expirySeconds = summary.expirySeconds
        expiresAt = summary.expiresAt.milliseconds
        hasWill = summary.hasWill
        subscriptionCount = summary.subscriptionCount
        queuedMessages = summary.queuedMessages
        queuedBytes = summary.queuedBytes
    }
}
