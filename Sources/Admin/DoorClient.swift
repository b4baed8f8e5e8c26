import Base
import Broker
import NIOCore
import Policy

/// Asks a node's query door from asynchronous code, with a time limit.
struct DoorClient: Sendable {
    let door: QueryDoor
    let eventLoop: any EventLoop
    /// When the request must be answered.
    let deadline: NIODeadline

    /// The answer; `unknown` if none came in time.
    func ask(
        _ request: DoorRequest, _ target: QueryDoor.Target, within limit: Duration? = nil
    ) async -> DoorAnswer {
        let wait = DoorWait()
        return await withCheckedContinuation { continuation in
            wait.begin(continuation)
            let end = limit.map { .now() + .nanoseconds($0.nanoseconds) } ?? deadline
            let ticket = Guarded<UInt64?>(nil)
            let timer = eventLoop.scheduleTask(deadline: min(end, deadline)) { [door] in
                if let ticket = ticket.withLock({ $0 }) { door.giveUp(ticket) }
                wait.end(.refused(.unknown))
            }
            let asked = door.ask(request, target) { answer in
                timer.cancel()
                wait.end(answer)
            }
            ticket.withLock { $0 = asked }
        }
    }

    /// Asks, and throws what was refused as a problem.
    func demand(
        _ request: DoorRequest, _ target: QueryDoor.Target = .any(0)
    ) async throws(Problem) -> DoorAnswer {
        let answer = await ask(request, target)
        if case .refused(let refusal) = answer { throw Problem(refusal) }
        return answer
    }

    /// Asks every worker at once; answers in their order.
    func askAll(
        _ request: DoorRequest, within limit: Duration
    ) async -> [(place: Place, answer: DoorAnswer)] {
        let places = door.places
        let answers = await withTaskGroup(of: (Int, DoorAnswer).self) { group in
            for (index, place) in places.enumerated() {
                group.addTask { (index, await ask(request, .place(place), within: limit)) }
            }
            var answers = [DoorAnswer](repeating: .refused(.unknown), count: places.count)
            for await (index, answer) in group { answers[index] = answer }
            return answers
        }
        return Array(zip(places, answers)).map { ($0, $1) }
    }
}

/// A continuation that is resumed once, by whoever comes first.
private final class DoorWait: Sendable {
    private let continuation = Guarded<CheckedContinuation<DoorAnswer, Never>?>(nil)

    func begin(_ continuation: CheckedContinuation<DoorAnswer, Never>) {
        self.continuation.withLock { $0 = continuation }
    }

    func end(_ answer: DoorAnswer) {
        let waiting = continuation.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?.resume(returning: answer)
    }
}

extension Problem {
    /// What a refusal of the door is in HTTP.
    init(_ refusal: DoorRefusal) {
        let code = "\(refusal)"
        switch refusal {
        case .malformed:
            self.init(.badRequest, code, "the request or its cursor could not be understood")
        case .notFound: self.init(.notFound, code, "there is no such thing")
        case .moved:
            self.init(.conflict, code, "the session's connection has changed meanwhile: try again")
        case .busy: self = .busy
        case .unavailable:
            self =
                Problem(.serviceUnavailable, code, "a part of the store does not answer")
                .retryAfterOneSecond
        case .unknown:
            self.init(
                .gatewayTimeout, code,
                "no answer came in time: whether anything was done is not known")
        case .stopped: self.init(.serviceUnavailable, code, "the node is stopping")
        case .tenantUnknown: self.init(.notFound, code, "there is no such tenant")
        case .topicInvalid:
            self.init(
                .unprocessableContent, code,
                "the topic is empty, too long, has wildcards, or begins with $")
        case .filterInvalid:
            self.init(.unprocessableContent, code, "the topic filter is not allowed")
        case .propertyInvalid:
            self.init(.unprocessableContent, code, "a property of the message is not allowed")
        case .payloadFormatInvalid:
            self.init(.unprocessableContent, code, "the payload is not UTF-8")
        case .qosNotSupported, .retainNotSupported, .wildcardsNotSupported, .sharesNotSupported,
            .subscriptionIDsNotSupported:
            self.init(.unprocessableContent, code, "the tenant's settings do not allow it")
        case .quotaExceeded:
            self.init(.tooManyRequests, code, "a quota of the tenant or the session is used up")
        case .tooLarge: self.init(.contentTooLarge, code, "the message is too large")
        }
    }
}
