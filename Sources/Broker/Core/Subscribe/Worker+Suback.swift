import Base
import Inbox
import MQTT

/// The end of a SUBSCRIBE or UNSUBSCRIBE: SUBACK or UNSUBACK once every answer is in.
extension Worker {
    func arrived(_ task: SubscribeTask) {
        task.waiting -= 1
        guard task.waiting == 0 else { return }
        if let ticket = task.door { return answerDoor(ticket, task) }
        completeIntents(task)
        withSession(task.session) { session, index in answer(task, session, index) }
    }

    private func completeIntents(_ task: SubscribeTask) {
        let intents = task.entries.filter { $0.intent != 0 }.map {
            CompleteIntentsCommand.Completed(number: $0.intent, filter: $0.filter)
        }
        guard !intents.isEmpty, let session = find(task.session) else { return }
        let name = sessionName(session)
        propose(.inbox, InboxKeys.sessionPrefix(name), .intentsCompleted(nil)) {
            InboxCommand.completeIntents(
                CompleteIntentsCommand(session: name, intents: intents)
            ).encode(into: &$0)
        }
    }

    func answer(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {
        let version = session.pointee.machine.version
        let hasFailed = task.entries.contains { $0.code == .implementationSpecificError }
        if !task.isSubscribe, hasFailed, version != .v5 {
            // UNSUBACK of 3.x says nothing, and would promise what was not done.
            end(session, index, .disconnect(.inboxTransientError(reason: "unsubscribe")))
            return
        }
        let packet = SubackPacket(
            packetID: task.packetID, reasonCodes: task.entries.map(\.code))
        let limit = Int(session.pointee.packetSizeMax)
        let isSent = send(session) {
            packet.encode(
                task.isSubscribe ? .suback : .unsuback, version, limit: limit, into: &$0)
        }
        guard isSent else {
            disconnect(
                session, index, .implementationSpecificError,
                .disconnect(.protocolViolation(statement: "no answer fits the packet size")))
            return
        }
        reportAnswer(task, session)
        if task.isSubscribe { grantJoined(task, session) }
        // The retained messages follow their SUBACK before anything else is read, as far as the
        // client takes them at once.
        task.replaying = 1
        if task.isSubscribe {
            for entry in task.entries where !entry.code.isFailure {
                startReplay(entry, task, session, index)
            }
        }
        replaySettled(task, session)
    }

    private func reportAnswer(
        _ task: SubscribeTask, _ session: UnsafeMutablePointer<Session>
    ) {
        let filters = { task.entries.map { String(decoding: $0.filter, as: UTF8.self) } }
        if task.isSubscribe {
            report(.subAcked, session) {
                .packet(
                    .subAcked(
                        packetID: Int(task.packetID), filters: filters(),
                        granted: task.entries.map { "\($0.code.rawValue)" }))
            }
        } else {
            report(.unsubAcked, session) {
                .packet(.unsubAcked(packetID: Int(task.packetID), filters: filters()))
            }
        }
    }
}
