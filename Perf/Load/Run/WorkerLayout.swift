import Base
import MQTT

/// How a loop's clients, publishers and trackers lie in memory: counted once, then allocated.
///
/// ```
///  clients:     group 0: client loop, loop + L, loop + 2L ... | group 1: ...
///  publishers:  those of the groups that publish, in the same order
///  trackers:    each subscriber's row of streams | one row for a shared group
/// ```
struct WorkerLayout {
    let plan: LoadPlan
    let loop: Int
    private(set) var clientCount = 0
    private(set) var publisherCount = 0
    private(set) var trackerCount = 0
    private(set) var payloadMax = MessageStamp.size
    private var states: [GroupState] = []

    init(_ plan: LoadPlan, loop: Int) {
        self.plan = plan
        self.loop = loop
        for group in plan.groups { add(group) }
    }

    private mutating func add(_ group: ClientGroup) {
        let own = loop < group.count ? (group.count - loop + plan.loops - 1) / plan.loops : 0
        var state = GroupState(
            total: Int32(group.count), clientBase: Int32(clientCount), clientCount: Int32(own),
            openNext: Int32(own))
        state.checks = StreamCheck(group)
        if state.checks.kind == .shared {
            state.checks.sharedBase = Int32(trackerCount)
            trackerCount += Int(state.checks.streams)
        }
        for position in 0..<own {
            trackerCount += state.checks.trackerCount(index: loop + position * plan.loops)
        }
        if let publishing = group.publishing {
            state.publisherBase = Int32(publisherCount)
            state.qos = publishing.qos
            state.retain = publishing.retain
            state.payloadBytes = Int32(max(publishing.payloadBytes, MessageStamp.size))
            state.windowMax = Int32(publishing.window)
            state.lag = UInt32(publishing.lag)
            state.copies = UInt32(max(publishing.copies, 1))
            state.firstStream = UInt32(publishing.firstStream)
            state.batchBytes = Int32(min(max(262_144 / max(group.count, 1), 4096), 65536))
            publisherCount += own
            payloadMax = max(payloadMax, Int(state.payloadBytes))
        }
        clientCount += own
        states.append(state)
    }

    func makeGroups() -> UnsafeMutablePointer<GroupState> {
        let place = UnsafeMutablePointer<GroupState>.allocate(capacity: max(states.count, 1))
        for (index, state) in states.enumerated() {
            (place + index).initialize(to: state)
            if state.checks.kind == .shared {
                let count = Int(state.clientCount) * Int(state.checks.streams)
                let seen = UnsafeMutablePointer<UInt32>.allocate(capacity: max(count, 1))
                seen.initialize(repeating: 0, count: max(count, 1))
                place[index].checks.lastSeen = seen
            }
        }
        return place
    }

    func makeClients() -> UnsafeMutablePointer<LoadClient> {
        let place = UnsafeMutablePointer<LoadClient>.allocate(capacity: max(clientCount, 1))
        var tracker = 0
        for (number, state) in states.enumerated() {
            if state.checks.kind == .shared { tracker += Int(state.checks.streams) }
            for position in 0..<Int(state.clientCount) {
                let index = loop + position * plan.loops
                var client = LoadClient(index: Int32(index), group: Int16(number))
                if state.publisherBase >= 0 {
                    client.publisher = state.publisherBase + Int32(position)
                }
                client.tracker = Int32(tracker)
                tracker += state.checks.trackerCount(index: index)
                (place + Int(state.clientBase) + position).initialize(to: client)
            }
        }
        return place
    }

    func makeTrackers() -> UnsafeMutablePointer<StreamTracker> {
        let place = UnsafeMutablePointer<StreamTracker>.allocate(capacity: max(trackerCount, 1))
        place.initialize(repeating: StreamTracker(), count: max(trackerCount, 1))
        return place
    }

    func makePublishers() -> (UnsafeMutablePointer<Publisher>, UnsafeMutableRawPointer) {
        let place = UnsafeMutablePointer<Publisher>.allocate(capacity: max(publisherCount, 1))
        var templates = ByteWriter()
        var random = SeededRandom(seed: plan.seed)
        for (number, state) in states.enumerated() where state.publisherBase >= 0 {
            let group = plan.groups[number]
            for position in 0..<Int(state.clientCount) {
                let index = loop + position * plan.loops
                var publisher = Publisher(
                    client: state.clientBase + Int32(position), ordinal: Int32(index),
                    stream: state.firstStream + UInt32(index))
                if let publishing = group.publishing, publishing.topic.isFixed {
                    let topic = publishing.topic.text(
                        group.values(index, plan.target, &random), &random)
                    publisher.adopt(topic, state, plan.target.version, &templates)
                }
                (place + Int(state.publisherBase) + position).initialize(to: publisher)
            }
        }
        let bytes = UnsafeMutableRawPointer.allocate(
            byteCount: max(templates.count, 1), alignment: 16)
        bytes.copyMemory(from: templates.bytes.baseAddress!, byteCount: templates.count)
        return (place, bytes)
    }
}

extension ClientGroup {
    /// What a client's patterns are filled with.
    func values(
        _ index: Int, _ target: TargetOptions, _ random: inout SeededRandom
    ) -> PatternValues {
        var values = PatternValues(number: firstNumber + index)
        if let username = target.username { values.username = username.text(values, &random) }
        values.clientID = clientID.text(values, &random)
        return values
    }
}

extension Publisher {
    /// Writes the constant part of this publisher's packets.
    fileprivate mutating func adopt(
        _ topic: [UInt8], _ group: GroupState, _ version: ProtocolVersion,
        _ templates: inout ByteWriter
    ) {
        let fields = PublishFields(
            version: version, qos: group.qos, dup: false, retain: group.retain, packetID: 0,
            topicAlias: 0, messageExpiry: nil)
        let none = UnsafeBufferPointer<UInt32>(start: nil, count: 0)
        let plan = PublishEncoding(
            fields, topicSize: topic.count + 2, forwardedSize: 0,
            payloadSize: Int(group.payloadBytes), subscriptionIDs: none)
        template = Int32(templates.count)
        packetSize = Int32(plan.totalSize)
        packetIDOffset = Int32(plan.packetIDOffset)
        payloadOffset = Int32(plan.headerSize)
        var prefixed = ByteWriter()
        prefixed.append(lengthPrefixed16: topic)
        templates.append(count: plan.headerSize) {
            plan.writeHeader(
                to: $0, topic: prefixed.bytes,
                forwarded: UnsafeRawBufferPointer(start: nil, count: 0), subscriptionIDs: none)
        }
    }
}
