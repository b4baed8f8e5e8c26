import Base
import Dist
import EventLoops
import Inbox
import KV
import Policy
import Retain
import WebSocket

/// Everything that a node is started with: resolved options, nothing left to decide.
package struct NodeOptions: Sendable {
    /// One listener and what its connections get.
    package struct Listener: Sendable {
        package var name: String
        package var socket: ListenerOptions
        package var tenant: TenantName?
        /// Set on WebSocket listeners.
        package var upgrade: UpgradeOptions?
        /// From accept to the end of CONNECT: PROXY header, handshake and upgrade together.
        package var connectTimeout = Duration.seconds(10)
        package var limits = ListenerLimits()

        package init(
            name: String, socket: ListenerOptions, tenant: TenantName? = nil,
            upgrade: UpgradeOptions? = nil
        ) {
            self.name = name
            self.socket = socket
            self.tenant = tenant
            self.upgrade = upgrade
        }
    }

    package var node = NodeID(1)
    package var epoch = LivenessEpoch(1)
    package var loops = LoopOptions()
    package var listeners: [Listener] = []
    package var tenants = TenantStore()
    package var accounts = TenantAccountTable()
    package var authenticator: any Authenticator = AnonymousAuthenticator(
        allowsRemote: false, rule: TenantRule())
    package var authoriser: (any Authoriser)?
    package var sinks: [any EventSink] = []
    package var limits = NodeLimitStore()
    package var load = NodeLoad()
    /// Bytes of memory that the process holds; nil if that cannot be read now.
    package var measureMemory: @Sendable () -> Int? = { ProcessMemory.resident }
    /// From the system; keys tables and names what needs chance.
    package var seed: UInt64 = 1
    /// Ranges of each store at the first start.
    package var rangesPerStore = 4
    package var fanOut = FanOutLimits()
    /// A second opinion on what tenants use, beside their settings.
    package var throttler: any Throttler = OpenThrottler()
    /// Faults of the range hosts, for tests: per cent.
    package var faults: (percent: Int, splitsMax: Int)?
    /// Set by the node.
    var beats: LoopBeats?
    var gate: DrainGate?
    var door: QueryDoor?
    /// $SYS topics; nil for none.
    package var sysTopics: SysTopicOptions?
    var sysPublisher: SysTopicPublisher?

    package init() {}

    var wantedEvents: EventMask {
        sinks.reduce(into: EventMask()) { $0.formUnion($1.wanted) }
    }
}

/// A node: its loops, each with a worker, and the ranges of all stores homed on them.
///
/// Made and stopped by the thread that starts it; everything else happens on the loops.
package final class Node {
    private let group: LoopGroup
    /// Name and bound address of each listener, in the order of the options.
    package let listeners: [(name: String, address: ListenerAddress)]
    /// For other threads.
    package let handle: NodeHandle
    /// For those who ask from outside the loops.
    package let door: QueryDoor
    package var pollerKind: PollerKind { group.pollerKind }
    package var pollerReason: String? { group.pollerReason }

    package init(_ options: NodeOptions) throws(LoopError) {
        var options = options
        options.loops.outputHigh = WorkerLimits.outputHighWatermark
        options.loops.outputLow = WorkerLimits.outputHighWatermark / 4
        let access = AccessDoor(
            authenticator: options.authenticator, authoriser: options.authoriser,
            workers: options.loops.workers)
        let seed = options.seed
        let traits = options.listeners.map { WorkerShell.ListenerTraits($0, seed: seed) }
        let beats = LoopBeats(workers: options.loops.workers)
        let gate = DrainGate()
        options.beats = beats
        options.gate = gate
        let door = QueryDoor(node: options.node, workers: options.loops.workers)
        options.door = door
        options.sysPublisher = options.sysTopics.map { SysTopicPublisher($0) }
        let settled = options
        group = try LoopGroup(
            options: options.loops, listeners: options.listeners.map(\.socket)
        ) { loop in
            WorkerShell(loop: loop, listeners: traits, access: access, options: settled)
        }
        access.connect(group.handles)
        gate.connect(group.handles)
        door.connect(group.handles)
        self.door = door
        listeners = Array(zip(options.listeners.map(\.name), group.addresses)).map { ($0, $1) }
        handle = NodeHandle(
            handles: group.handles, beats: beats, limits: options.limits, load: options.load,
            sysTopics: options.sysPublisher)
    }

    /// Waits until the loops have ended.
    package func join() {
        group.join()
        door.close()
    }
}

extension NodeOptions {
    /// Gives a loop whose turns the caller takes itself its worker: for those who measure one
    /// without threads. No listeners' limits, no door; authenticators must answer at once.
    package func attachWorker(to loop: EventLoop) {
        let access = AccessDoor(
            authenticator: authenticator, authoriser: authoriser, workers: loops.workers)
        let seed = seed
        loop.attach(
            WorkerShell(
                loop: loop, listeners: listeners.map { WorkerShell.ListenerTraits($0, seed: seed) },
                access: access, options: self))
    }

    private var places: [Place] {
        (0..<loops.workers).map { Place(node: node, worker: WorkerIndex(UInt16($0))) }
    }

    /// The ranges of all stores, as this node begins.
    var initialMap: RangeMap {
        RangeMap(
            StoreKind.allCases.flatMap {
                RangeMap.initialRanges(
                    store: $0, count: rangesPerStore, node: node, workers: loops.workers)
            })
    }

    /// A worker with the replicas homed on it; called on its loop's thread.
    package func makeWorker<Port: WorkerPort>(
        port: Port, index: WorkerIndex, now: Instant, _ wallTime: WallTime
    ) -> Worker<Port> {
        let place = Place(node: node, worker: index)
        let seed = workerSeed(index)
        let map = initialMap
        let outbox = Outbox()
        let host = makeHost(place, map, outbox, seed)
        let usage = UsageLedger()
        for descriptor in map.all where descriptor.leader == place {
            if let machine = makeMachine(descriptor, place, seed, usage) {
                host.add(descriptor, machine: machine)
            }
        }
        var options = WorkerOptions(
            place: place, epoch: epoch, seed: seed, tenants: tenants, accounts: accounts,
            wantedEvents: wantedEvents, limits: limits, load: load)
        options.fanOut = fanOut
        options.throttler = throttler
        return Worker(
            port: port,
            options: options,
            parts: WorkerParts(
                now: now, wallTime: wallTime, outbox: outbox,
                client: RangeClient(place: place, epoch: epoch, map: map, seed: seed),
                host: host, usage: usage))
    }

    /// A stream of its own for each worker. Their seeds must not lie a multiple of the generator's
    /// step apart: the streams would be one, shifted, and name the same ranges and client ids.
    private func workerSeed(_ index: WorkerIndex) -> UInt64 {
        var source = SeededRandom(seed: seed ^ UInt64(index.rawValue) << 32)
        return source.next()
    }

    private func makeHost(
        _ place: Place, _ map: RangeMap, _ outbox: Outbox, _ seed: UInt64
    ) -> RangeHost {
        RangeHost(
            place: place, workers: loops.workers, outbox: outbox, map: map, seed: seed,
            fault: faults.map {
                FaultKnob(percent: $0.percent, splitsMax: $0.splitsMax, seed: seed)
            })
    }

    private func makeMachine(
        _ descriptor: RangeDescriptor, _ place: Place, _ seed: UInt64, _ usage: UsageLedger
    ) -> (any RangeMachine)? {
        switch descriptor.id.store {
        case .dist:
            DistMachine(
                DistMachineOptions(
                    stamp: DistRangeStamp(
                        range: descriptor.id, boundaryVersion: descriptor.boundaryVersion),
                    startKey: descriptor.bounds.start, workers: places, seed: seed))
        case .inbox:
            InboxMachine(
                options: InboxMachine.Options(home: place, hashSeed: seed, usage: usage))
        case .retain: RetainMachine(usage: usage)
        case .system: nil
        }
    }
}
