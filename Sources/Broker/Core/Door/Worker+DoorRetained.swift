import Base
import KV
import MQTT
import Policy
import Retain

/// Retained messages through the door.
extension Worker {
    func listRetained(_ list: DoorList, _ ticket: UInt64) {
        guard let isWildcard = Self.hasWildcard(list.pattern) else {
            return answerDoor(ticket, .refused(.filterInvalid))
        }
        guard var cursor = DoorCursor(list.cursor) else {
            return answerDoor(ticket, .refused(.malformed))
        }
        if !isWildcard {
            cursor.key = RetainKeys.routingKey(tenant: list.tenant.bytes, topic: list.pattern)
        }
        var question = ByteWriter(capacity: 64)
        RetainQuestion.writeList(
            tenant: list.tenant.bytes, filter: list.pattern, cursor: cursor.inner,
            messagesMax: UInt32(min(list.limit, DoorLimits.pageMax)), into: &question)
        let task = DoorTask(ticket: ticket, step: .retainedList(list, key: cursor.key))
        if !ask(.retain, cursor.key, .door(task), question.array) {
            answerDoor(ticket, .refused(.busy))
        }
    }

    /// Nil if it is no filter of retained messages.
    private static func hasWildcard(_ filter: [UInt8]) -> Bool? {
        let parsed = filter.withRawSpan {
            try? TopicFilter.parse($0, ByteRange(whole: $0), .protocolLimits)
        }
        guard let parsed, parsed.share == .none else { return nil }
        return parsed.hasWildcard
    }

    func retainedListed(
        _ list: DoorList, _ key: [UInt8], _ ticket: UInt64, _ result: RawSpan
    ) {
        guard let answer = RetainAnswer(result) else {
            return answerDoor(ticket, .refused(.unavailable))
        }
        if answer.isBusy { return answerDoor(ticket, .refused(.busy)) }
        var page = DoorRetainedPage()
        page.items = answer.items.map {
            DoorRetainedPage.Item(
                topic: result.array($0.topic), byteCount: $0.recordBytes,
                expiresAt: Self.milliseconds($0.expiry))
        }
        if answer.hasMore {
            page.cursor = DoorCursor.encode(key: key, inner: answer.cursor)
        } else if Self.hasWildcard(list.pattern) == true,
            let next = client.map.descriptor(.retain, at: key)?.bounds.end
        {
            page.cursor = DoorCursor.encode(key: next, inner: [])
        }
        answerDoor(ticket, .retainedPage(page))
    }

    /// 0 for never.
    private static func milliseconds(_ time: WallTime) -> UInt64 {
        time == .distantFuture ? 0 : time.milliseconds
    }

    func showRetained(_ tenant: TenantName, _ topic: [UInt8], _ ticket: UInt64) {
        guard Self.hasWildcard(topic) == false else {
            return answerDoor(ticket, .refused(.topicInvalid))
        }
        var question = ByteWriter(capacity: 64)
        RetainQuestion.writeMatch(
            tenant: tenant.bytes, filter: topic, messagesMax: 1, into: &question)
        let key = RetainKeys.routingKey(tenant: tenant.bytes, topic: topic)
        let task = DoorTask(ticket: ticket, step: .retainedShow)
        if !ask(.retain, key, .door(task), question.array) {
            answerDoor(ticket, .refused(.busy))
        }
    }

    func retainedShown(_ ticket: UInt64, _ result: RawSpan) {
        guard let answer = RetainAnswer(result) else {
            return answerDoor(ticket, .refused(.unavailable))
        }
        if answer.isBusy { return answerDoor(ticket, .refused(.busy)) }
        guard let item = answer.items.first else { return answerDoor(ticket, .refused(.notFound)) }
        guard let message = DoorMessage(record: result.extracting(item.record.range)) else {
            return answerDoor(ticket, .refused(.unavailable))
        }
        answerDoor(ticket, .message(message, expiresAt: Self.milliseconds(item.expiry)))
    }

    /// Forgets a retained message; subscribers hear nothing of it.
    func clearRetained(_ tenant: TenantName, _ topic: [UInt8], _ ticket: UInt64) {
        guard Self.hasWildcard(topic) == false else {
            return answerDoor(ticket, .refused(.topicInvalid))
        }
        var command = RetainCommandEncoder()
        command.clear(tenant: tenant.bytes, topic: topic)
        let bytes = command.writer.array
        let key = RetainKeys.routingKey(tenant: tenant.bytes, topic: topic)
        let task = DoorTask(ticket: ticket, step: .retainedClear)
        if !propose(.retain, key, .door(task), { $0.append(bytes) }) {
            answerDoor(ticket, .refused(.busy))
        }
    }

    func retainedCleared(_ ticket: UInt64, _ result: RawSpan) {
        let code = RetainResultDecoder.results(result)?.first?.code ?? .malformed
        answerDoor(
            ticket,
            code == .cleared ? .done : .refused(code == .absent ? .notFound : .unavailable))
    }
}
