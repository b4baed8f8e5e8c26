import Base
import Dist
import KV
import Testing

@Suite("formats of dist")
struct DistFormatTests {
    static let place = Place(node: NodeID(2), worker: WorkerIndex(3))
    static let transient = RouteReceiver.transient(
        place: place, epoch: LivenessEpoch(4), token: 5)
    static let stored = RouteReceiver.stored(
        clientID: Array("c".utf8), incarnation: 6, options: 1, subscriptionID: 7)
    static let group = RouteGroup(kind: .unordered, name: Array("g".utf8))

    static func long(_ value: UInt8) -> [UInt8] { [0, 0, 0, 0, 0, 0, 0, value] }

    static func bucket(_ filter: String) -> [UInt8] {
        let bucket = KeySchema.bucket(tenant: Array("t".utf8), id: Array(filter.utf8))
        return [UInt8(bucket >> 8), UInt8(bucket & 0xFF)]
    }

    @Test(
        "keys and values have the bytes of the format",
        arguments: [
            (
                Route(tenant: Array("t".utf8), filter: Array("a/b".utf8), receiver: transient),
                [1] + bucket("a/b") + Array("t\0a/b\0".utf8) + [1] + long(2) + long(4) + [0, 3],
                [1] + long(5)
            ),
            (
                Route(tenant: Array("t".utf8), filter: Array("a/+".utf8), receiver: stored),
                [2] + Array("t\0a/+\0".utf8) + [2] + Array("c\0".utf8),
                [1] + long(6) + [1, 0, 0, 0, 7]
            ),
            (
                Route(
                    tenant: Array("t".utf8), filter: Array("#".utf8), group: group,
                    receiver: transient),
                [2] + Array("t\0#\0".utf8) + [3] + Array("g\0".utf8) + [1] + long(2) + long(4)
                    + [0, 3] + long(5), [1]
            ),
            (
                Route(
                    tenant: Array("t".utf8), filter: Array("#".utf8), group: group,
                    receiver: stored),
                [2] + Array("t\0#\0".utf8) + [3] + Array("g\0".utf8) + [2] + Array("c\0".utf8),
                [1] + long(6) + [1, 0, 0, 0, 7]
            ),
        ] as [(Route, [UInt8], [UInt8])])
    func pairs(route: Route, key: [UInt8], value: [UInt8]) {
        let bench = MachineBench(seed: 1)
        bench.apply { $0.add(route) }
        #expect(bench.pairs == [key: value])
        key.withRawSpan { key in
            value.withRawSpan { #expect(DistKeys.decode(key: key, value: $0) == route) }
        }
        let prefix = DistKeys.routingKey(tenant: route.tenant, filter: route.filter)
        #expect(key.starts(with: prefix))
        #expect(DistKeys.normalised(key) == KeyBounds.successor(ofPrefix: prefix))
        #expect(DistKeys.normalised(prefix) == prefix)
    }

    @Test("a command, its result and the patch that it causes have the bytes of the format")
    func command() {
        let bench = MachineBench(seed: 1)
        let route = Route(
            tenant: Array("t".utf8), filter: Array("a".utf8), receiver: Self.transient)
        var command = RouteCommandEncoder()
        command.add(route)
        let item =
            [1, 0, 1, 0x74, 0, 1, 0x61, 0, 1] + Self.long(2) + [0, 3] + Self.long(4)
            + Self.long(5)
        #expect([UInt8](command.writer.bytes) == [1, 0, 0, 0, 1] + item)
        #expect(bench.apply { $0.add(route) }.codes == [.added])
        #expect(
            bench.patches[MachineBench.workers[0]] == [
                [1] + Self.long(1) + Self.long(1) + [1] + Self.long(1) + [0, 0, 0, 1] + item
            ])
    }

    @Test("a fence is kept under the range's first key and read back")
    func fence() {
        let bench = MachineBench(seed: 1, startKey: [2])
        bench.apply { $0.fence(NodeID(2), through: LivenessEpoch(4)) }
        #expect(bench.pairs == [[2, 0, 0, 0xFE] + Self.long(2): [0xFE] + Self.long(4)])
        let again = bench.reloaded(seed: 2)
        let route = Route(
            tenant: Array("t".utf8), filter: Array("+".utf8), receiver: Self.transient)
        #expect(again.apply { $0.add(route) }.codes == [.epochVoid])
    }

    @Test("a tenant's filters with wildcards lie in its bounds, and nobody else's")
    func bounds() {
        let bounds = DistKeys.wildcardBounds(tenant: Array("t".utf8))
        for filter in ["#", "+", "a/#", "z/+/z"] {
            let filter = Array(filter.utf8)
            #expect(bounds.contains(DistKeys.routingKey(tenant: Array("t".utf8), filter: filter)))
            for other in ["s", "t1", "u", ""] {
                let key = DistKeys.routingKey(tenant: Array(other.utf8), filter: filter)
                #expect(!bounds.contains(key))
            }
        }
        let exact = DistKeys.exactKey(tenant: Array("t".utf8), topic: Array("a".utf8))
        #expect(!bounds.contains(exact))
        #expect(exact == DistKeys.routingKey(tenant: Array("t".utf8), filter: Array("a".utf8)))
    }
}
