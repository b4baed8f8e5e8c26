import Base
import Broker
import MQTT

/// The session machine alone: windows of both directions.
enum SessionScenarios {
    static let all: [Scenario] = [
        Scenario(
            name: "session-publish-qos1", what: "PUBLISH taken, completed, PUBACK owed",
            make: {
                inbound(.atLeastOnce)
            }),
        Scenario(
            name: "session-publish-qos2", what: "PUBLISH taken, completed, PUBREC, released",
            make: { inbound(.exactlyOnce) }),
        Scenario(
            name: "session-deliver-qos1", what: "packet id given, PUBACK taken; 20 in flight",
            make: { outbound(.atLeastOnce) }),
        Scenario(
            name: "session-deliver-qos2", what: "packet id given, PUBREC and PUBCOMP taken",
            make: {
                outbound(.exactlyOnce)
            }),
        Scenario(
            name: "session-queue", what: "a message queued and taken, 100 waiting", make: queue),
    ]

    private final class Holder {
        @exclusivity(unchecked)
        var machine = SessionMachine(version: .v5, isStored: false, receiveMaximum: 100)
    }

    private static func inbound(_ qos: QoS) -> (Int) -> UInt64 {
        let holder = Holder()
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                let packetID = UInt16(truncatingIfNeeded: index % 60_000 + 1)
                let verdict = holder.machine.receivePublish(
                    packetID: packetID, qos: qos, limit: 100)
                guard case .publish(let serial, _) = verdict else { return 0 }
                holder.machine.inbound.complete(serial, .success)
                while let entry = holder.machine.inbound.popDone() {
                    sum &+= UInt64(entry.packetID)
                }
                if qos == .exactlyOnce {
                    sum &+= UInt64(holder.machine.receivePubrel(packetID: packetID).rawValue)
                }
            }
            return sum
        }
    }

    private static func outbound(_ qos: QoS) -> (Int) -> UInt64 {
        let holder = Holder()
        var inFlight = [UInt16](repeating: 0, count: 20)
        for index in inFlight.indices { inFlight[index] = holder.machine.openOutbound(qos) }
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                let packetID = inFlight[index % 20]
                if qos == .exactlyOnce {
                    _ = holder.machine.receivePubrec(packetID: packetID, reasonCode: .success)
                    _ = holder.machine.receivePubcomp(packetID: packetID)
                } else {
                    _ = holder.machine.receivePuback(packetID: packetID, reasonCode: .success)
                }
                guard holder.machine.hasSendQuota else { return 0 }
                inFlight[index % 20] = holder.machine.openOutbound(qos)
                sum &+= UInt64(inFlight[index % 20])
            }
            return sum
        }
    }

    @Sendable
    private static func queue() -> (Int) -> UInt64 {
        let holder = Holder()
        let record = SharedBlock.allocate(count: 128)
        func message() -> QueuedMessage {
            record.retain()
            return QueuedMessage(
                record: record, qos: .atLeastOnce, retain: false, subscriptionIDs: SubscriptionIDs()
            )
        }
        for _ in 0..<100 { holder.machine.queue.append(message()) }
        return { count in
            var sum: UInt64 = 0
            for _ in 0..<count {
                holder.machine.queue.append(message())
                let first = holder.machine.queue.removeFirst()
                sum &+= UInt64(first.qos.rawValue)
                first.releaseAll()
            }
            return sum
        }
    }
}
