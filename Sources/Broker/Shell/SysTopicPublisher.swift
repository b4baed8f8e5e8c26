import Base
import Policy

/// What becomes of the $SYS topics of a node.
package struct SysTopicOptions: Equatable, Sendable {
    /// Zero turns them off.
    package var interval: Duration
    /// Whose clients can read them.
    package var tenant: TenantName
    package var version: String

    package init(interval: Duration, tenant: TenantName, version: String) {
        self.interval = interval
        self.tenant = tenant
        self.version = version
    }
}

/// Publishes the $SYS topics: asks every loop for its figures and publishes what has changed, both
/// through the query door, retained.
///
/// Driven by a timer of the first loop; answers come on any loop. Nothing begins while the time
/// before is not through.
final class SysTopicPublisher: Sendable {
    private struct State {
        var options: SysTopicOptions
        var machine: SysTopicMachine?
        /// Answers of this time, and how many are still to come; 0 between two times.
        var figures: [WorkerFigures] = []
        var waiting = 0
    }

    /// How often is looked whether the topics were turned on.
    private static let offInterval = Duration.seconds(10)

    private let state: Guarded<State>

    init(_ options: SysTopicOptions) { state = Guarded(State(options: options)) }

    /// From the next time on.
    func set(interval: Duration) { state.withLock { $0.options.interval = interval } }

    /// When the timer is to fire again.
    var pause: Duration {
        let interval = state.withLock { $0.options.interval }
        return interval > .zero ? interval : Self.offInterval
    }

    /// The timer has fired.
    func tick(_ door: QueryDoor, now: Instant) {
        let isDue = state.withLock { state in
            guard state.options.interval > .zero, state.waiting == 0 else { return false }
            if state.machine == nil {
                state.machine = SysTopicMachine(version: state.options.version, startedAt: now)
            }
            state.waiting = door.workers
            state.figures = []
            return true
        }
        guard isDue else { return }
        for place in door.places {
            door.ask(.figures, .place(place)) { [self] answer in
                receive(answer, door, now)
            }
        }
    }

    private func receive(_ answer: DoorAnswer, _ door: QueryDoor, _ now: Instant) {
        let due = state.withLock { state -> (TenantName, [SysTopicMachine.Value]) in
            if case .figures(let figures) = answer { state.figures.append(figures) }
            state.waiting -= 1
            // A loop that did not answer would make every sum wrong.
            guard state.waiting == 0, state.figures.count == door.workers else {
                return (state.options.tenant, [])
            }
            let values = state.machine?.receive(state.figures, now: now) ?? []
            return (state.options.tenant, values)
        }
        for value in due.1 {
            var message = DoorMessage(topic: Array(value.topic.utf8))
            message.payload = Array(value.text.utf8)
            message.publisher = Array("$SYS".utf8)
            message.retain = true
            var publish = DoorPublish(tenant: due.0, message: message)
            publish.isSystem = true
            door.ask(.publish(publish), .any(BucketHash.hash(message.topic))) { _ in }
        }
    }
}
