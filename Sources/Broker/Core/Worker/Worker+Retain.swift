import Base
import KV
import MQTT
import Policy

/// Retained messages: committed before they are matched, replayed to new subscriptions by page.
extension Worker {
    /// A publish of this connection on the topic is being retained: this one waits behind it.
    func mustWaitForRetain(
        _ message: borrowing Message, _ session: UnsafeMutablePointer<Session>
    ) -> Bool {
        guard let rare = session.pointee.rare, !rare.retaining.isEmpty else { return false }
        return rare.retaining.contains(hash.hash(message.topicName))
    }

    func retain(
        _ message: inout Message, _ origin: PublishOrigin,
        _ session: UnsafeMutablePointer<Session>?, _ index: Int32
    ) {
        route(&message, origin)
    }

    func retainDone(_ task: RetainTask, _ status: CompletionStatus, _ result: RawSpan) {}

    func startReplay(
        _ entry: SubscribeTask.Entry, _ subscriptionID: UInt32,
        _ session: UnsafeMutablePointer<Session>, _ index: Int32
    ) {}

    func retainedPage(_ task: ReplayTask, _ completion: Completion, _ result: RawSpan) {}
}
