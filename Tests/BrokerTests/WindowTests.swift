import Base
import Broker
import MQTT
import TestKit
import Testing

@Suite("Windows, packet ids and queues of one session")
struct WindowTests {
    @Test(
        "packet ids are a set, and an empty set holds no memory of its members",
        arguments: Seed.series(5))
    func packetIDSet(seed: Seed) {
        var random = seed.random()
        var set = PacketIDSet()
        var plain: Set<UInt16> = []
        // Few values often, so that repeats and removals of members are frequent.
        let spread = random.chance(percent: 50) ? 65_536 : 40
        for _ in 0..<4_000 {
            let id = UInt16(truncatingIfNeeded: random.below(spread) &* 1_639)
            switch random.below(3) {
            case 0: same(set.insert(id), plain.insert(id).inserted)
            case 1: same(set.remove(id), (plain.remove(id) != nil))
            default: same(set.contains(id), plain.contains(id))
            }
            same(set.count, plain.count)
        }
        for id in plain { same(set.remove(id), true) }
        same(set.count, 0)
        same(!set.contains(0) && !set.contains(.max), true)
    }

    @Test("every packet id can be a member at once")
    func allPacketIDs() {
        var set = PacketIDSet()
        for id in UInt16.min ... .max where !set.insert(id) { Issue.record("\(id) was there") }
        same(set.count, 65_536)
        for id in (UInt16.min ... .max).reversed() where !set.remove(id) {
            Issue.record("\(id) was gone")
        }
        same(set.count, 0)
    }

    // MARK: Inbound

    private struct PlainInbound {
        var open: [(serial: UInt32, id: UInt16, qos: QoS, code: ReasonCode?)] = []
        var unreleased: Set<UInt16> = []
        var serial: UInt32 = 0
    }

    @Test(
        "acknowledgements leave in the order of arrival, whatever order outcomes come in",
        arguments: Seed.series(6))
    func inboundOrder(seed: Seed) {
        var random = seed.random()
        var window = InboundWindow()
        var plain = PlainInbound()
        for _ in 0..<3_000 {
            let id = UInt16(1 + random.below(20))
            switch random.below(5) {
            case 0, 1:
                let qos: QoS = random.chance(percent: 50) ? .atLeastOnce : .exactlyOnce
                open(id, qos, &window, &plain)
            case 2:
                guard !plain.open.isEmpty else { continue }
                let at = random.below(plain.open.count)
                let code: ReasonCode = random.chance(percent: 20) ? .quotaExceeded : .success
                plain.open[at].code = code
                window.complete(plain.open[at].serial, code)
            case 3: same(window.release(id), (plain.unreleased.remove(id) != nil))
            default: popAll(&window, &plain)
            }
            check(window, plain)
        }
    }

    private func open(
        _ id: UInt16, _ qos: QoS, _ window: inout InboundWindow, _ plain: inout PlainInbound
    ) {
        let serial = window.open(packetID: id, qos: qos)
        if qos == .exactlyOnce, !plain.unreleased.insert(id).inserted {
            #expect(serial == nil)
            return
        }
        #expect(serial == plain.serial)
        plain.open.append((plain.serial, id, qos, nil))
        plain.serial += 1
    }

    private func popAll(_ window: inout InboundWindow, _ plain: inout PlainInbound) {
        while let entry = window.popDone() {
            let first = plain.open.removeFirst()
            #expect(entry.packetID == first.id && entry.qos == first.qos)
            #expect(entry.reasonCode == first.code)
            if first.qos == .exactlyOnce, first.code?.isFailure == true {
                plain.unreleased.remove(first.id)
            }
        }
        #expect(plain.open.first.map { $0.code == nil } ?? true)
    }

    private func check(_ window: borrowing InboundWindow, _ plain: PlainInbound) {
        same(window.waitingCount, plain.open.count)
        let openQoS1 = plain.open.filter { $0.qos == .atLeastOnce }.count
        same(window.unacknowledgedCount, openQoS1 + plain.unreleased.count)
    }

    @Test("outcomes of serials that are no longer open are ignored")
    func staleSerials() {
        var window = InboundWindow()
        window.complete(0, .success)
        window.complete(.max, .success)
        same(window.popDone() == nil, true)
        let serial = window.open(packetID: 7, qos: .atLeastOnce)
        window.complete((serial ?? 0) &+ 1, .success)
        window.complete((serial ?? 0) &- 1, .success)
        same(window.popDone() == nil, true)
        window.complete(serial ?? 0, .success)
        same(window.popDone()?.packetID, 7)
        same(window.isEmpty && window.unacknowledgedCount == 0, true)
    }

    // MARK: Outbound

    @Test(
        "open messages never share a packet id, and each is found by its own",
        arguments: Seed.series(6))
    func outboundIDs(seed: Seed) {
        var random = seed.random()
        let first = random.chance(percent: 50) ? 1 : random.next() >> 20
        var window = OutboundWindow(firstSequence: first)
        var open: [UInt64: OutboundWindow.Phase] = [:]
        var next = first
        for _ in 0..<4_000 {
            if random.chance(percent: 55), window.hasRoom(for: next) {
                next += random.chance(percent: 5) ? UInt64(random.below(40)) : 0
                guard window.hasRoom(for: next) else { continue }
                let phase: OutboundWindow.Phase =
                    random.chance(percent: 50) ? .awaitsPuback : .awaitsPubrec
                window.open(next, phase)
                open[next] = phase
                next += 1
            } else if let sequence = open.keys.sorted().dropFirst(random.below(4)).first {
                window.finish(sequence)
                open[sequence] = nil
            }
            same(window.inFlight, open.count)
            #expect(Set(open.keys.map { OutboundWindow.packetID(of: $0) }).count == open.count)
        }
        for (sequence, phase) in open {
            same(window.sequence(of: OutboundWindow.packetID(of: sequence)), sequence)
            same(window.phase(of: sequence), phase)
        }
        same(window.sequence(of: 0), nil)
    }

    @Test("one message that is never acknowledged stops the window before ids repeat")
    func outboundSpan() {
        var window = OutboundWindow()
        window.open(1, .awaitsPuback)
        var sequence: UInt64 = 2
        while window.hasRoom(for: sequence) {
            window.open(sequence, .awaitsPuback)
            window.finish(sequence)
            sequence += 1
        }
        #expect(sequence == 1 + UInt64(OutboundWindow.span))
        same(window.sequence(of: OutboundWindow.packetID(of: 1)), 1)
        window.finish(1)
        same(window.hasRoom(for: sequence) && window.inFlight == 0, true)
    }

    // MARK: Queue

    @Test("a queue counts its bytes and gives up each record's reference once")
    func queueReferences() {
        let record = SharedBlock.copy(of: UnsafeRawBufferPointer(start: nil, count: 0))
        let identifiers: [UInt32] = [1, 2, 300]
        do {
            var queue = MessageQueue()
            for _ in 0..<100 {
                record.retain()
                queue.append(
                    QueuedMessage(
                        record: record, qos: .atLeastOnce, retain: false,
                        subscriptionIDs: identifiers.withUnsafeBufferPointer {
                            SubscriptionIDs($0)
                        }))
            }
            same(queue.count == 100 && queue.byteCount == 0, true)
            queue.removeFirst().releaseAll()
            same(queue.count, 99)
        }
        record.release()
    }

    @Test("subscription identifiers come out as they went in, up to their limit")
    func subscriptionIDs() {
        for count in [0, 1, 2, 5, SubscriptionIDs.countMax, SubscriptionIDs.countMax + 7] {
            let all = (0..<count).map { UInt32($0 + 1) }
            let made = all.withUnsafeBufferPointer { SubscriptionIDs($0) }
            let copy = made.copied()
            made.free()
            #expect(copy.withAll(Array.init) == Array(all.prefix(SubscriptionIDs.countMax)))
            copy.free()
        }
        #expect(SubscriptionIDs(one: 0).count == 0)
        #expect(SubscriptionIDs(one: 9).withAll(Array.init) == [9])
    }

    @Test("a ring queue behaves like an array", arguments: Seed.series(5))
    func ringQueue(seed: Seed) {
        var random = seed.random()
        var ring = RingQueue<UInt64>()
        var plain: [UInt64] = []
        for _ in 0..<4_000 {
            switch random.below(6) {
            case 0, 1, 2:
                let value = random.next()
                ring.append(value)
                plain.append(value)
            case 3: if !plain.isEmpty { same(ring.removeFirst(), plain.removeFirst()) }
            case 4: if !plain.isEmpty { same(ring.removeLast(), plain.removeLast()) }
            default:
                guard !plain.isEmpty else { continue }
                let at = random.below(plain.count)
                plain[at] &+= 1
                ring[at] = plain[at]
            }
            if random.chance(percent: 1) {
                while !plain.isEmpty { same(ring.removeFirst(), plain.removeFirst()) }
                same(ring.byteCount <= 256, true)
            }
            same(ring.count, plain.count)
        }
        for position in plain.indices { same(ring[position], plain[position]) }
        ring.removeAll()
        same(ring.isEmpty && ring.byteCount == 0, true)
    }
}
