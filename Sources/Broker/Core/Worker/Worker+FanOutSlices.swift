import Base
import Dist
import KV
import MQTT
import Policy

/// Messages with more receivers on this worker than one go of deliveries may have.
///
/// ```
///  deliverOwn ── few receivers ──────────────────────> delivered at once
///      └──────── more than `receiversAtOnce`, or one of
///                the topic has not reached all of its own ──> lane of the topic
///  endTurn: each lane in its turn gets a part of the slice; PUBACK, or the word to the
///           sending worker, after the last one
/// ```
/// Each receiver costs a write to its socket at the end of the turn, so the slice bounds what all
/// others wait for. Only the topic keeps an order; messages of other topics pass. A publisher that
/// is far ahead of its receivers is not read meanwhile. Beyond the bytes that may wait, QoS 0 is
/// dropped and counted; QoS 1 and 2 make the oldest lane finish at once.
extension Worker {
    // MARK: Taking in

    /// Receivers of one filter: false if they are to get the message now.
    @inline(never)
    func defers(
        _ message: inout Message, _ tokens: UnsafeBufferPointer<UInt64>,
        _ subscribers: UnsafeBufferPointer<Subscriber>
    ) -> FanOutVerdict {
        let key = laneKey(message)
        let lane = fanOuts.lane(key)
        guard lane != nil || subscribers.count > fanOutLimits.receiversAtOnce else { return .now }
        let generations = liveGenerations
        if let last = lane?.tasks.last?.receivers,
            last.isSame(
                subscribers, tokens, unsubscriptions: unsubscriptions,
                { generations[Int($0)] })
        {
            return take(&message, key, last, sharing: true)
        }
        let receivers = FanOutReceivers(
            tokens: tokens, count: subscribers.count, unsubscriptions: unsubscriptions)
        for (position, subscriber) in subscribers.enumerated() {
            receivers.set(
                position, subscriber, generation: generations[Int(subscriber.session)])
        }
        return take(&message, key, receivers, sharing: false)
    }

    /// Receivers of several filters, each once in the merge table.
    @inline(never)
    func defersMerged(
        _ message: inout Message, _ tokens: UnsafeBufferPointer<UInt64>
    ) -> FanOutVerdict {
        let key = laneKey(message)
        guard fanOuts.lane(key) != nil || merging.count > fanOutLimits.receiversAtOnce else {
            return .now
        }
        let receivers = FanOutReceivers(
            tokens: tokens, count: merging.count, unsubscriptions: unsubscriptions)
        for position in 0..<merging.count {
            let entry = merging[position]
            let options = SubscriptionOptions(
                maximumQoS: entry.maximumQoS, noLocal: false,
                retainAsPublished: entry.retainAsPublished, retainHandling: .send)
            receivers.set(
                position,
                Subscriber(
                    session: entry.session, options: options.rawValue,
                    subscriptionID: entry.identifiers.0),
                generation: liveGenerations[Int(entry.session)],
                identifiers: entry.identifierCount > 1 ? merging.subscriptionIDs(entry) : nil)
        }
        return take(&message, key, receivers, sharing: false)
    }

    /// Different topics of one key would only wait for each other.
    private func laneKey(_ message: borrowing Message) -> UInt64 {
        hash.hash(message.topicName, salt: UInt64(UInt32(bitPattern: message.tenant.index)))
    }

    private func take(
        _ message: inout Message, _ key: UInt64, _ receivers: FanOutReceivers, sharing: Bool
    ) -> FanOutVerdict {
        let record = message.record()
        let size =
            record.count + WorkerLimits.fanOutTaskBytes + (sharing ? 0 : receivers.byteCount)
        if fanOuts.byteCount + size > fanOutLimits.bytesMax {
            if message.qos == .atMostOnce {
                dropBeforeReceivers(.loopLate, message, receivers.count)
                return .dropped
            }
            while fanOuts.byteCount + size > fanOutLimits.bytesMax, let lane = fanOuts.first {
                metrics.fanOutsRushed &+= 1
                while !lane.isEmpty { advance(lane, upTo: .max) }
            }
        }
        metrics.fanOutsSliced &+= 1
        let task = FanOutTask(
            record: record, tenant: message.tenant, receivers: receivers, byteCount: size)
        let lane = fanOuts.append(task, key)
        sliceAbove = 0
        if lane.tasks.count >= WorkerLimits.fanOutAheadMax { holdReader(lane) }
        return .later
    }

    /// The publisher whose packets are being read is far ahead of its receivers.
    private func holdReader(_ lane: FanOutLane) {
        guard reading >= 0 else { return }
        let session = sessions[pointer: reading]
        guard session.pointee.phase == .live else { return }
        holdInput(session)
        let publisher = ref(session, reading)
        if !lane.held.contains(publisher) { lane.held.append(publisher) }
    }

    /// The message that was taken in last is acknowledged after its last receiver.
    func endNewestFanOut(_ end: FanOutEnd) { fanOuts.newest?.end = end }

    // MARK: Slices

    /// One slice of each lane whose turn it is. True if there is more.
    func advanceFanOuts() -> Bool {
        guard !fanOuts.isEmpty else { return false }
        var left = fanOutLimits.slice
        let part = max(
            fanOutLimits.slice / fanOuts.count, min(fanOutLimits.slice, WorkerLimits.fanOutPartMin))
        var turns = fanOuts.count
        while left > 0, turns > 0, let lane = fanOuts.next() {
            left -= advance(lane, upTo: min(left, part))
            turns -= 1
        }
        return !fanOuts.isEmpty
    }

    /// Takes the train of a lane to its next receivers; how many those were.
    @discardableResult
    private func advance(_ lane: FanOutLane, upTo most: Int) -> Int {
        lane.formTrain(
            messagesMax: WorkerLimits.fanOutAheadMax, bytesMax: WorkerLimits.fanOutTrainBytes)
        guard let first = lane.tasks.first else { return 0 }
        let start = lane.position
        let end = start + min(most, first.receivers.count - start)
        for number in 0..<lane.trainCount { deliverSlice(lane.tasks[number], start..<end) }
        metrics.fanOutSlices &+= 1
        lane.position = end
        if end == first.receivers.count { finishTrain(lane) }
        return end - start
    }

    private func finishTrain(_ lane: FanOutLane) {
        let done = lane.takeTrain()
        fanOuts.finished(done, of: lane)
        if fanOuts.isEmpty { sliceAbove = fanOutLimits.receiversAtOnce }
        for task in done { endFanOut(task.end) }
        guard lane.tasks.count < WorkerLimits.fanOutAheadMax else { return }
        let held = lane.held
        lane.held = []
        for publisher in held {
            withSession(publisher) { session, index in resumeInputIfHeld(session, index) }
        }
    }

    private func endFanOut(_ end: FanOutEnd) {
        switch end {
        case .nobody: break
        case .publish(let tracker): groupDone(tracker)
        case .place(let place, let number):
            outbox.send(.deliveryFinished, to: place) { $0.append(bigEndian: number) }
        }
    }

    private func deliverSlice(_ task: FanOutTask, _ range: Range<Int>) {
        var message = Message(
            record: task.record.bytes, tenant: task.tenant, block: task.record)
        frames.removeAll()
        isFanOut = true
        let receivers = task.receivers
        let mayHaveLeft = receivers.unsubscriptions != unsubscriptions
        var start = range.lowerBound
        for position in range {
            let isHere = isThere(position, receivers, mayHaveLeft)
            let identifiers = isHere ? identifiers(position, receivers) : nil
            if isHere, identifiers == nil { continue }
            deliverAll(&message, receivers.subscribers(start..<position))
            start = position + 1
            if let identifiers { deliver(&message, receivers[position].subscriber, identifiers) }
        }
        deliverAll(&message, receivers.subscribers(start..<range.upperBound))
        isFanOut = false
    }

    private func identifiers(_ position: Int, _ receivers: FanOutReceivers) -> SubscriptionIDs? {
        receivers.manyIdentifiers.isEmpty ? nil : receivers.manyIdentifiers[position]
    }

    private func deliver(
        _ message: inout Message, _ subscriber: Subscriber, _ identifiers: SubscriptionIDs
    ) {
        let options = SubscriptionOptions(rawValue: subscriber.options)
        let delivery = Delivery(
            qos: min(message.qos, options.maximumQoS),
            retain: options.retainAsPublished && message.retain, subscriptionIDs: identifiers)
        deliver(&message, delivery, to: subscriber.session)
    }

    /// Whether the receiver is still the session that it was, and still subscribes.
    private func isThere(
        _ position: Int, _ receivers: FanOutReceivers, _ mayHaveLeft: Bool
    ) -> Bool {
        let (subscriber, generation) = receivers[position]
        guard liveGenerations[Int(subscriber.session)] == generation else { return false }
        guard mayHaveLeft else { return true }
        return receivers.tokens.contains { value in
            let token = FilterToken(value)
            return filters.filter(slot: token.slot) != nil
                && filters.token(slot: token.slot) == token
                && filters.subscriber(session: subscriber.session, slot: token.slot) != nil
        }
    }

    // MARK: Between workers

    /// A delivery of another worker that is acknowledged out of its order: what came before it is
    /// acknowledged first, because the sender counts.
    ///
    /// ```
    ///  deliveryDeferred:  number u32: the next delivery that waits for an acknowledgement gets it
    ///                     by this number
    ///  deliveryFinished:  number u32
    /// ```
    func deferAnswer(to sender: Place) {
        if let count = awaited.takeReceived(from: sender) {
            outbox.send(.deliveryDone, to: sender) { $0.append(bigEndian: count) }
        }
        nextFanOut &+= 1
        let number = nextFanOut
        outbox.send(.deliveryDeferred, to: sender) { $0.append(bigEndian: number) }
        endNewestFanOut(.place(sender, number: number))
    }

    func receiveDeliveryDeferred(_ body: RawSpan, from sender: Place) {
        var reader = ByteReader(body)
        guard let number = try? reader.readUInt32(body) else {
            metrics.damagedFrames &+= 1
            return
        }
        if let tracker = awaited.removeFirst(from: sender) {
            deferred[DeferredDelivery(place: sender, number: number)] = tracker
        }
    }

    func receiveDeliveryFinished(_ body: RawSpan, from sender: Place) {
        var reader = ByteReader(body)
        guard let number = try? reader.readUInt32(body) else {
            metrics.damagedFrames &+= 1
            return
        }
        let key = DeferredDelivery(place: sender, number: number)
        if let tracker = deferred.removeValue(forKey: key) { groupDone(tracker) }
    }
}

/// What becomes of a message for sessions of this worker.
enum FanOutVerdict {
    /// It is for them to get it at once.
    case now
    /// It was taken in and reaches them in slices.
    case later
    /// There was no room for it.
    case dropped
}

/// A delivery that another worker acknowledges by number.
struct DeferredDelivery: Hashable {
    var place: Place
    var number: UInt32
}
