import Base
import Broker
import MQTT
import Policy
import Testing

@Suite("$SYS topics on a node", .serialized)
struct SysTopicTests {
    private func node(interval: Duration = .milliseconds(10)) throws -> ServingNode {
        try ServingNode { options in
            options.sysTopics = SysTopicOptions(
                interval: interval, tenant: .standard, version: "test")
        }
    }

    /// Topic, payload and retain flag of the next PUBLISH.
    private func message(
        _ client: WireClient
    ) -> (topic: String, payload: String, isRetained: Bool)? {
        while let packet = client.next() {
            guard packet[0] >> 4 == 3 else { continue }
            // One byte of length is enough for these, and another for the empty properties.
            let topicEnd = 4 + Int(packet[3])
            return (
                String(decoding: packet[4..<topicEnd], as: UTF8.self),
                String(decoding: packet[(topicEnd + 1)...], as: UTF8.self), packet[0] & 1 == 1
            )
        }
        return nil
    }

    private func subscribe(_ client: WireClient, _ filter: String) {
        client.send(Greeting.subscribe(filter, qos: .atMostOnce))
    }

    /// Reads until the numbers of the topics are such; false if too many messages come first.
    private func wait(
        _ client: WireClient, _ known: inout [String: String],
        until condition: ([String: Int]) -> Bool
    ) -> Bool {
        for _ in 0..<5_000 {
            if condition(known.compactMapValues { Int($0) }) { return true }
            guard let message = message(client) else { return false }
            known[String(message.topic.dropFirst("$SYS/broker/".count))] = message.payload
        }
        return false
    }

    @Test("a subscriber sees values, and sees them change when clients come and publish")
    func changes() throws {
        let node = try node()
        let (watcher, connack) = node.open(.v5, "watcher")
        #expect(connack == .connack(0))
        subscribe(watcher, "$SYS/broker/#")
        var known: [String: String] = [:]
        #expect(
            wait(watcher, &known) {
                $0["clients/connected"] == 2 && ($0["subscriptions/count"] ?? 0) >= 2
            }, "the bystander and the watcher: \(known)")
        let (other, answer) = node.open(.v5, "other")
        #expect(answer == .connack(0))
        other.send(Greeting.publish("a/b", qos: .atLeastOnce))
        #expect(
            wait(watcher, &known) {
                $0["clients/connected"] == 3 && $0["clients/maximum"] == 3
                    && ($0["publish/messages/received"] ?? 0) >= 1
                    && ($0["bytes/received"] ?? 0) > 50 && ($0["messages/sent"] ?? 0) > 5
                    && ($0["retained messages/count"] ?? 0) > 10
            }, "\(known)")
        other.close()
        #expect(wait(watcher, &known) { $0["clients/connected"] == 2 })
        #expect(known["version"] == "apus version test")
        #expect(known["uptime"]?.hasSuffix(" seconds") == true)
        #expect(known["load/messages/sent/1min"]?.contains(".") == true)
    }

    @Test("who subscribes later gets the values at once, retained")
    func retained() throws {
        let node = try node()
        let (first, _) = node.open(.v5, "first")
        subscribe(first, "$SYS/broker/uptime")
        #expect(message(first) != nil)
        // Turned off: nothing but what is retained can come now.
        node.handle.setSysTopics(interval: .zero)
        let (second, _) = node.open(.v5, "second")
        subscribe(second, "$SYS/broker/version")
        let version = try #require(message(second))
        #expect(version.topic == "$SYS/broker/version")
        #expect(version.isRetained)
    }

    @Test("neither # nor another tenant sees them, and no client may publish there")
    func hidden() throws {
        let node = try node()
        let (watcher, _) = node.open(.v5, "watcher")
        subscribe(watcher, "$SYS/broker/uptime")
        #expect(message(watcher) != nil)
        let (all, _) = node.open(.v5, "all")
        subscribe(all, "#")
        let (stranger, _) = node.open(.v5, "stranger") {
            $0.username = Array("elsewhere/user".utf8)
        }
        subscribe(stranger, "$SYS/#")
        let (publisher, _) = node.open(.v5, "publisher")
        publisher.send(Greeting.publish("$SYS/broker/uptime", qos: .atLeastOnce))
        #expect(HostileRow.answer(publisher, .v5) == .puback(0x90))
        // Both would have had something by the time this arrives.
        publisher.send(Greeting.publish("end", qos: .atLeastOnce))
        #expect(message(all)?.topic == "end")
        stranger.send([0xC0, 0])
        #expect(HostileRow.answer(stranger, .v5) == .suback([0]))
        #expect(HostileRow.answer(stranger, .v5) == .pingresp)
    }
}
