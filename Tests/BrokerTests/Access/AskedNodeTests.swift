import Base
import Broker
import Foundation
import MQTT
import Policy
import Testing

/// The same over real sockets: input is held by a loop and handed out again.
@Suite("An authoriser that is asked, over sockets", .serialized)
struct AskedNodeTests {
    /// Answers from a thread of its own, always later.
    private final class ThreadedAuthoriser: Authoriser {
        var epoch: UInt64 { 1 }

        func permissions(for client: ClientIdentity) -> Permissions { .ask }

        func judge(
            _ action: AccessAction, of client: ClientIdentity,
            _ completion: @escaping AccessCompletion
        ) -> AccessVerdict? {
            Thread.detachNewThread {
                if case .publish(let topic, _, _) = action, topic.hasPrefix("denied") {
                    completion(.denied(reason: "the test"))
                } else {
                    completion(.allowed(needsDeliveryCheck: false))
                }
            }
            return nil
        }
    }

    @Test("[refusal P01, S03] packets in one burst are judged one after the other")
    func burst() throws {
        let node = try ServingNode { $0.authoriser = ThreadedAuthoriser() }
        let client = WireClient(port: node.port)
        client.send(
            Greeting.connect(.v5, "burst") + Greeting.subscribe("a/#", qos: .atLeastOnce)
                + Greeting.publish("a/1", [1], qos: .atLeastOnce, packetID: 1)
                + Greeting.publish("denied/1", [2], qos: .atLeastOnce, packetID: 2)
                + Greeting.publish("a/1", [3], qos: .atLeastOnce, packetID: 3) + [0xC0, 0])
        var packets: [[UInt8]] = []
        while packets.last?.first != 0xD0, let packet = client.next() { packets.append(packet) }
        while packets.count(where: { $0[0] >> 4 == 3 }) < 2, let packet = client.next() {
            packets.append(packet)
        }
        #expect(packets.filter { $0[0] >> 4 == 3 }.compactMap(\.last) == [1, 3])
        let codes = packets.filter { $0[0] >> 4 == 4 }.map { ($0[3], $0.count > 4 ? $0[4] : 0) }
        #expect(codes.map(\.0) == [1, 2, 3])
        #expect(codes.map(\.1) == [0, 0x87, 0])
        client.close()
        node.checkThatOthersAreServed()
        node.checkThatDescriptorsReturn()
    }
}
