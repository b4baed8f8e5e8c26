import Base
import Broker
import Testing

@Suite("Values of the $SYS topics")
struct SysTopicMachineTests {
    private func figures(_ change: (inout WorkerFigures) -> Void) -> [WorkerFigures] {
        var told = WorkerFigures(worker: WorkerIndex(0))
        change(&told)
        return [told, WorkerFigures(worker: WorkerIndex(1))]
    }

    private func texts(_ values: [SysTopicMachine.Value]) -> [String: String] {
        Dictionary(uniqueKeysWithValues: values.map { ($0.topic, $0.text) })
    }

    @Test("all loops are summed, and only what has changed is published again")
    func sums() {
        let start = Instant(nanoseconds: 0)
        var machine = SysTopicMachine(version: "7", startedAt: start)
        var all = figures {
            $0[.sessionsLive] = 3
            $0[.storedSessions] = 5
            $0[.storedSessionsAttached] = 1
            $0[.publishesOut] = 10
            $0[.packetsOut] = 4
        }
        all[1][.sessionsLive] = 2
        let first = texts(machine.receive(all, now: start + .seconds(10)))
        #expect(first["$SYS/broker/clients/connected"] == "5")
        #expect(first["$SYS/broker/clients/disconnected"] == "4")
        #expect(first["$SYS/broker/clients/total"] == "9")
        #expect(first["$SYS/broker/clients/maximum"] == "5")
        #expect(first["$SYS/broker/messages/sent"] == "14")
        #expect(first["$SYS/broker/version"] == "apus version 7")
        #expect(first["$SYS/broker/uptime"] == "10 seconds")
        all[1][.sessionsLive] = 0
        let second = texts(machine.receive(all, now: start + .seconds(20)))
        #expect(
            Set(second.keys) == [
                "$SYS/broker/clients/connected", "$SYS/broker/clients/active",
                "$SYS/broker/clients/total", "$SYS/broker/uptime",
            ])
    }

    @Test("loads are per minute, and after their time constant two thirds of the way there")
    func loads() throws {
        let start = Instant(nanoseconds: 0)
        var machine = SysTopicMachine(version: "7", startedAt: start)
        var last: [String: String] = [:]
        for step in 0...90 {
            let all = figures { $0[.publishesIn] = UInt64(step) * 100 }
            last.merge(texts(machine.receive(all, now: start + .seconds(step * 10)))) { $1 }
        }
        // 10 a second for 15 minutes: 600 a minute.
        let one = try #require(Double(last["$SYS/broker/load/publish/received/1min"] ?? ""))
        let fifteen = try #require(Double(last["$SYS/broker/load/publish/received/15min"] ?? ""))
        #expect(abs(one - 600) < 1)
        #expect(abs(fifteen - 600 * 0.632) < 3)
    }
}
