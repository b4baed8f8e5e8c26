import Base
import Inbox
import KV
import Testing

/// Sizes and costs; the sizes are asked for, the costs are Perf's to hold.
@Suite("Sizes of an inbox range")
struct MeasureTests {
    @Test("An offline session with one subscription takes at most 300 bytes in memory")
    func sessionBytes() throws {
        let host = InboxHarness()
        let count = 4000
        for number in 0..<count {
            var client = TestClient("device-00000\(number)", token: UInt64(number))
            try client.connect(host)
            host.apply(
                .subscribe(
                    SubscribeCommand(
                        session: client.session, ownerEpoch: client.epoch,
                        subscriptions: [
                            .init(filter: Array("plant/7/device/\(number)/#".utf8), options: 1)
                        ])))
            host.apply(
                .completeIntents(
                    CompleteIntentsCommand(
                        session: client.session, intents: [.init(number: 1, filter: [])])))
            client.disconnect(host)
        }
        let metrics = host.machine.metrics
        #expect(metrics.sessions == count && metrics.owners == 0)
        #expect(metrics.queues == 0 && metrics.extras == 0, "an idle session keeps no more")
        // Every range has 256 KiB of bucket heads, whatever it holds.
        let each = (metrics.sessionBytes - 256 * 1024) / count
        #expect(each <= 300, "\(each) bytes a session")
    }
}
