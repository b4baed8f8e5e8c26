import Base
import Broker
import MQTT
import TestKit
import Testing

@Suite("Tables of a fan-out")
struct DeliveryTableTests {
    private struct Best: Equatable {
        var qos: QoS
        var retainAsPublished: Bool
        var identifiers: [UInt32]
    }

    @Test(
        "a session named by several filters is one receiver, with the best of them",
        arguments: Seed.series(6))
    func merge(seed: Seed) {
        var random = seed.random()
        var table = MergeTable()
        var seen = [UInt32](repeating: 0, count: 20)
        var positions = [Int32](repeating: 0, count: 20)
        for _ in 0..<50 {
            table.begin()
            var plain: [Int32: Best] = [:]
            var order: [Int32] = []
            for _ in 0..<random.below(400) {
                let session = Int32(random.below(seen.count))
                let options = SubscriptionOptions(rawValue: UInt8(random.below(64)))
                let identifier = UInt32(random.chance(percent: 60) ? 1 + random.below(1_000) : 0)
                table.add(
                    session, &seen[Int(session)], &positions[Int(session)], options, identifier)
                if plain[session] == nil { order.append(session) }
                var best =
                    plain[session]
                    ?? Best(qos: .atMostOnce, retainAsPublished: false, identifiers: [])
                best.qos = max(best.qos, options.maximumQoS)
                best.retainAsPublished = best.retainAsPublished || options.retainAsPublished
                if identifier != 0 { best.identifiers.append(identifier) }
                plain[session] = best
            }
            check(table, plain, order)
        }
    }

    private func check(_ table: borrowing MergeTable, _ plain: [Int32: Best], _ order: [Int32]) {
        same(table.count, order.count)
        for position in 0..<table.count {
            let entry = table[position]
            #expect(entry.session == order[position])
            let identifiers = table.subscriptionIDs(entry)
            let found = Best(
                qos: entry.maximumQoS, retainAsPublished: entry.retainAsPublished,
                identifiers: identifiers.withAll(Array.init))
            identifiers.free()
            guard var wanted = plain[entry.session] else {
                Issue.record("\(entry.session) was not added")
                continue
            }
            wanted.identifiers = Array(wanted.identifiers.prefix(SubscriptionIDs.countMax))
            #expect(found == wanted)
        }
    }

    @Test("more overlapping subscriptions than sixteen bits count are no trap")
    func manyOverlaps() {
        var table = MergeTable()
        var seen: UInt32 = 0
        var position: Int32 = 0
        table.begin()
        for identifier in 1...70_000 as ClosedRange<UInt32> {
            table.add(0, &seen, &position, SubscriptionOptions(rawValue: 0), identifier)
        }
        let identifiers = table.subscriptionIDs(table[0])
        #expect(identifiers.withAll(Array.init) == Array(1...64))
        identifiers.free()
    }

    @Test("a frame is kept per version, QoS and retain, until the next message")
    func frameCache() {
        var cache = FrameCache()
        var variants: Set<Int> = []
        for version in ProtocolVersion.allCases {
            for qos in QoS.allCases {
                for retain in [true, false] {
                    let variant = FrameCache.variant(version, qos, retain: retain)
                    variants.insert(variant)
                    if cache.frame(variant) != nil { continue }
                    let fill = UInt8(variant)
                    let frame = cache.add(variant, count: 3 + variant, packetIDOffset: 1) {
                        $0.initializeMemory(as: UInt8.self, repeating: fill, count: 3 + variant)
                    }
                    #expect(Int(frame.count) == 3 + variant)
                }
            }
        }
        // 3.1 and 3.1.1 have the same bytes.
        #expect(variants.count == 12)
        for variant in variants {
            let frame = cache.frame(variant)
            let start = Int(frame?.offset ?? 0)
            let bytes = cache.bytes.bytes[start..<start + 3 + variant]
            #expect(bytes.allSatisfy { $0 == UInt8(variant) })
        }
        cache.removeAll()
        for variant in variants { same(cache.frame(variant) == nil, true) }
    }

    // MARK: Aliases

    private func choose(
        _ topic: String, _ aliases: inout OutboundAliases
    ) -> OutboundAliases.Choice {
        Array(topic.utf8).withUnsafeBytes { aliases.choose($0, TableHash(seed: 1)) }
    }

    @Test("the first topics keep their aliases; later and short ones go without")
    func aliases() {
        var aliases = OutboundAliases(clientMaximum: 2)
        #expect(choose("a/b/c", &aliases).number == 1)
        #expect(choose("a/b/c", &aliases).isKnown)
        #expect(choose("abc", &aliases).number == 0)
        let second = choose("a/b/d", &aliases)
        #expect(second.number == 2 && !second.isKnown)
        #expect(choose("a/b/e", &aliases).number == 0)
        #expect(choose("a/b/d", &aliases).isKnown)
        var none = OutboundAliases(clientMaximum: 0)
        #expect(choose("a/b/c", &none).number == 0)
    }

    @Test("an alias whose packet was not sent is unknown to the client, so it is given again")
    func aliasTakenBack() {
        var aliases = OutboundAliases(clientMaximum: 5)
        #expect(choose("first/topic", &aliases).number == 1)
        #expect(choose("second/topic", &aliases).number == 2)
        aliases.removeNewest()
        let again = choose("second/topic", &aliases)
        #expect(again.number == 2 && !again.isKnown)
        #expect(choose("first/topic", &aliases).isKnown)
    }

    // MARK: Deliveries that are awaited

    @Test(
        "deliveries are acknowledged in the order of sending, per place", arguments: Seed.series(3))
    func awaited(seed: Seed) {
        var random = seed.random()
        var table = AwaitedDeliveries()
        let places = (0..<4).map { Place(node: NodeID(1), worker: WorkerIndex(UInt16($0))) }
        var plain: [Int: [Int32]] = [:]
        var next: Int32 = 0
        for _ in 0..<20_000 {
            let place = random.below(places.count)
            if random.chance(percent: 55) {
                table.append(TrackerRef(index: next, generation: 1), to: places[place])
                plain[place, default: []].append(next)
                next += 1
            } else {
                let first = plain[place]?.first
                if first != nil { plain[place]?.removeFirst() }
                same(table.removeFirst(from: places[place])?.index, first)
            }
        }
        for place in places.indices {
            for index in plain[place] ?? [] {
                same(table.removeFirst(from: places[place])?.index, index)
            }
            same(table.removeFirst(from: places[place]), nil)
        }
    }

    @Test("what is owed to a place is told once")
    func received() {
        var table = AwaitedDeliveries()
        let near = Place(node: NodeID(1), worker: WorkerIndex(0))
        let far = Place(node: NodeID(2), worker: WorkerIndex(0))
        for _ in 0..<3 { table.countReceived(from: near) }
        table.countReceived(from: far)
        var told: [Place: UInt32] = [:]
        table.forEachReceived { told[$0] = $1 }
        #expect(told == [near: 3, far: 1])
        table.forEachReceived { place, _ in Issue.record("\(place) twice") }
    }
}
