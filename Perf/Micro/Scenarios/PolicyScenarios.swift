import Base
import Policy

/// What Policy costs per packet.
enum PolicyScenarios {
    static let all: [Scenario] = [
        Scenario(
            name: "acl-publish-first", what: "devices/%c/# allows a topic of 25 bytes at once"
        ) { publish($0, "default deny\nallow publish devices/%c/#\n") },
        Scenario(
            name: "acl-publish-tenth", what: "the same behind nine rules that do not match"
        ) { publish($0, otherRules + "allow publish devices/%c/#\n") },
        Scenario(
            name: "token-bucket", what: "one token of a bucket with a rate", run: bucket),
        Scenario(
            name: "event-counted", what: "an event that nobody wants, counted", run: event),
    ]

    private static let otherRules =
        "default deny\n"
        + (0..<9).map { "allow publish plant/\($0)/+/x\n" }.joined()

    private static func publish(_ count: Int, _ rules: String) -> UInt64 {
        guard let table = try? AccessFileDecoder.decode(Array(rules.utf8), path: "acl") else {
            return 0
        }
        let client = ClientIdentity(
            Principal(tenant: .standard, user: "user"), clientID: "client-17", peerAddress: "")
        let compiled = table.compile(table.numbers(for: client))
        return client.withAccessIdentity { identity in
            Array("devices/client-17/pressure".utf8).withRawSpan { topic in
                var sum: UInt64 = 0
                for _ in 0..<count
                where compiled.allowsPublish(topic, qos: 1, retain: false, identity) {
                    sum &+= 1
                }
                return sum
            }
        }
    }

    private static func bucket(_ count: Int) -> UInt64 {
        var bucket = TokenBucket()
        let rate = TokenRate(perSecond: 1_000_000)
        var now = Instant(nanoseconds: 1_000_000_000)
        var sum: UInt64 = 0
        for _ in 0..<count {
            now = now + .nanoseconds(1_000)
            if bucket.take(1, rate, now: now) { sum &+= 1 }
        }
        return sum
    }

    private static func event(_ count: Int) -> UInt64 {
        var queue = EventQueue(wanted: EventMask(atLeast: .warning))
        for _ in 0..<count {
            queue.report(.qos1Pushed, TenantSlot(0)) {
                EventRecord(
                    milliseconds: 0, tenant: "", subject: nil,
                    event: .push(.qos2Received(packetID: 1)))
            }
        }
        return queue.metrics.value(.qos1Pushed, TenantSlot(0))
    }
}
