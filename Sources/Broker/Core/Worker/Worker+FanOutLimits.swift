import Base
import MQTT
import Policy

/// How far one message of a tenant may spread, and how many bytes per second all of them.
///
/// Receivers beyond a limit do not get the message: that is counted under `fanoutLimit` and told
/// once per message. Its publisher hears of success, as it does of receivers that are full.
extension Worker {
    /// Leaves as many stored receivers as the tenant's limits allow.
    func limitFanOut(_ receivers: inout [StoredReceiver], _ message: borrowing Message) {
        let settings = tenants[message.tenant]
        let most = settings.pointee.settings.persistentFanoutMax
        let topic = message.topicName
        if receivers.count > most {
            dropBeyond(receivers.count - most, message)
            receivers.removeLast(receivers.count - most)
            report(.persistentFanoutThrottled, message) {
                .persistentFanoutThrottled(topic: String(decoding: topic, as: UTF8.self), max: most)
            }
        }
        let bytesMost = settings.pointee.settings.persistentFanoutBytesMax
        let size = max(1, message.topic.count + message.forwarded.count + message.payload.count)
        if receivers.count > bytesMost / size {
            dropBeyond(receivers.count - bytesMost / size, message)
            receivers.removeLast(receivers.count - bytesMost / size)
            report(.persistentFanoutBytesThrottled, message) {
                .persistentFanoutBytesThrottled(
                    topic: String(decoding: topic, as: UTF8.self), maxBytes: bytesMost)
            }
        }
    }

    /// How many of the shared groups that match are served.
    func servedGroups(_ count: Int, _ message: borrowing Message) -> Int {
        let most = tenants[message.tenant].pointee.settings.groupFanoutMax
        guard count > most else { return count }
        let topic = message.topicName
        dropBeyond(count - most, message)
        report(.groupFanoutThrottled, message) {
            .groupFanoutThrottled(topic: String(decoding: topic, as: UTF8.self), max: most)
        }
        return most
    }

    /// A copy for a stored session, of which the tenant has had its share for this second.
    func exceedsStoredFanOut(_ size: Int, _ message: borrowing Message) -> Bool {
        if take(.totalPersistentFanOutBytesPerSeconds, size, message.tenant) { return false }
        let tenant = message.tenant
        events.metrics.count(.resourceExhausted, tenant)
        events.report(.outOfTenantResource, tenant) {
            record(tenant, []) {
                .session(.outOfTenantResource(resource: .totalPersistentFanOutBytesPerSeconds))
            }
        }
        return true
    }

    private func dropBeyond(_ count: Int, _ message: borrowing Message) {
        events.metrics.count(.fanoutLimit, message.tenant, by: count)
    }

    private func report(
        _ kind: EventKind, _ message: borrowing Message, _ event: () -> DistEvent
    ) {
        let tenant = message.tenant
        let publisher = message.publisher
        events.report(kind, tenant, debugMode: isDebugged(tenant)) {
            record(tenant, [UInt8](publisher)) { .dist(event()) }
        }
    }
}
