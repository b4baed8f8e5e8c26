import Base
import KV
import Policy

/// Who hears that a message has reached the last of its receivers on this worker.
enum FanOutEnd {
    case nobody
    case publish(TrackerRef)
    /// The worker that sent it, by the number that it was told.
    case place(Place, number: UInt32)
}

/// A message on its way to many receivers of this worker.
final class FanOutTask {
    /// One reference is the task's.
    let record: SharedBlock
    let tenant: TenantSlot
    let receivers: FanOutReceivers
    var end = FanOutEnd.nobody
    /// Bytes that count for it.
    let byteCount: Int

    init(record: SharedBlock, tenant: TenantSlot, receivers: FanOutReceivers, byteCount: Int) {
        record.retain()
        self.record = record
        self.tenant = tenant
        self.receivers = receivers
        self.byteCount = byteCount
    }

    deinit { record.release() }
}

/// The messages of one topic that are delivered in slices, and those that wait behind them: so a
/// topic keeps its order.
///
/// ```
///  tasks:  [ train: same receivers, delivered together ][ waiting ... ]
///  receivers of the train:  ######position..............
/// ```
/// A slice takes every message of the train to the next receivers, so that one write takes them
/// all. Owned by one worker; the worker bounds the bytes of all lanes together.
final class FanOutLane {
    let key: UInt64
    private(set) var tasks: [FanOutTask] = []
    /// Messages at the front that travel together; 0 before the first slice.
    private(set) var trainCount = 0
    /// The next receiver of the train.
    var position = 0
    /// Publishers that are not read until the lane is short again.
    var held: [SessionRef] = []

    init(key: UInt64) { self.key = key }

    var isEmpty: Bool { tasks.isEmpty }

    func append(_ task: FanOutTask) { tasks.append(task) }

    /// Makes the first messages with the same receivers a train, if there is none.
    func formTrain(messagesMax: Int, bytesMax: Int) {
        guard trainCount == 0, let first = tasks.first else { return }
        position = 0
        trainCount = 1
        var bytes = first.record.count
        while trainCount < min(tasks.count, messagesMax) {
            let next = tasks[trainCount]
            bytes += next.record.count
            guard next.receivers === first.receivers, bytes <= bytesMax else { return }
            trainCount += 1
        }
    }

    /// The train has reached its last receiver.
    func takeTrain() -> [FanOutTask] {
        let done = Array(tasks.prefix(trainCount))
        tasks.removeFirst(trainCount)
        trainCount = 0
        position = 0
        return done
    }
}

/// All lanes of a worker, whose turns go round.
struct FanOutLanes {
    private var lanes: [FanOutLane] = []
    private var byKey: [UInt64: FanOutLane] = [:]
    /// Of all messages and their receivers; at most `FanOutLimits.bytesMax`, but for one
    /// message of QoS 1 or 2.
    private(set) var byteCount = 0
    /// The message that was taken in last.
    private(set) var newest: FanOutTask?

    var count: Int { lanes.count }
    var isEmpty: Bool { lanes.isEmpty }
    var first: FanOutLane? { lanes.first }

    func lane(_ key: UInt64) -> FanOutLane? { byKey[key] }

    mutating func append(_ task: FanOutTask, _ key: UInt64) -> FanOutLane {
        let lane = byKey[key] ?? FanOutLane(key: key)
        if lane.isEmpty {
            lanes.append(lane)
            byKey[key] = lane
        }
        lane.append(task)
        byteCount += task.byteCount
        newest = task
        return lane
    }

    /// The lane whose turn it is goes to the end of the round.
    mutating func next() -> FanOutLane? {
        guard let lane = lanes.first else { return nil }
        lanes.removeFirst()
        lanes.append(lane)
        return lane
    }

    mutating func finished(_ tasks: [FanOutTask], of lane: FanOutLane) {
        for task in tasks {
            byteCount -= task.byteCount
            if newest === task { newest = nil }
        }
        guard lane.isEmpty else { return }
        byKey[lane.key] = nil
        lanes.removeAll { $0 === lane }
    }
}
