import Base
import EventLoops
import MQTT

/// Publishing: when each message should go, and how many may.
///
/// Open loop: message `k` of a group is intended for `start + k * step`, falls to publisher `k`
/// modulo their number, and is counted as due when its time has come, whatever became of those
/// before it. Closed loop: windows (QoS 1, 2), lag (QoS 0) and sockets decide alone.
extension LoadWorker {
    func begin(_ round: PublishRound, _ number: Int) {
        let group = groups + number
        guard group.pointee.publisherBase >= 0 else { return }
        group.pointee.isPublishing = true
        group.pointee.isPaced = round.perSecond > 0
        group.pointee.start = round.start.nanoseconds
        group.pointee.step = round.perSecond > 0 ? 1e9 / round.perSecond : 0
        group.pointee.cycle = 0
        group.pointee.member = 0
        group.pointee.countMax = round.countMax
        group.pointee.isEmpty = round.isEmpty
        for publisher in range(of: group.pointee) {
            publishers[publisher].roundBase = publishers[publisher].sequence
            publishers[publisher].due = group.pointee.isPaced ? 0 : round.countMax
            publishers[publisher].lagTime = clock
            activate(Int32(publisher))
        }
    }

    private func range(of group: GroupState) -> Range<Int> {
        Int(group.publisherBase)..<Int(group.publisherBase + group.clientCount)
    }

    /// A publisher is looked at before the turn ends.
    @inline(__always)
    func activate(_ publisher: Int32) {
        guard publisher >= 0 else { return }
        let place = publishers + Int(publisher)
        if place.pointee.isActive || place.pointee.due == 0 { return }
        place.pointee.isActive = true
        state.pointee.active.append(publisher)
    }

    /// Mail of another loop: subscribers there received something of ours.
    func activateWaiting() {
        for publisher in 0..<publisherCount { activate(Int32(publisher)) }
    }

    func outputDrained(_ connection: ConnectionID) {
        let place = Int(loop.slot(of: connection))
        if place >= 0 { activate(clients[place].publisher) }
    }

    /// A session begins: nothing of the last connection is in flight.
    func resetPublisher(_ client: UnsafeMutablePointer<LoadClient>, receiveMaximum: Int) {
        guard client.pointee.publisher >= 0 else { return }
        let group = groups[Int(client.pointee.group)]
        if group.qos == .atMostOnce { return }
        publishers[Int(client.pointee.publisher)].window.reset(
            capacity: min(Int(group.windowMax), max(receiveMaximum, 1)))
    }

    // MARK: Due

    func publishDue(_ now: UInt64) {
        for number in plan.groups.indices {
            let group = groups + number
            if group.pointee.isPublishing, group.pointee.isPaced { markDue(group, now) }
        }
        guard state.pointee.active.count > 0 else { return }
        swap(&state.pointee.active, &state.pointee.pumping)
        for position in 0..<state.pointee.pumping.count {
            pump(state.pointee.pumping[position], now)
        }
        state.pointee.pumping.removeAll()
        if state.pointee.active.count > 0 { loop.requestTurn() }
    }

    private func markDue(_ group: UnsafeMutablePointer<GroupState>, _ now: UInt64) {
        guard group.pointee.clientCount > 0 else { return }
        while group.pointee.cycle < group.pointee.countMax {
            let index = group.pointee.publisherBase + group.pointee.member
            let publisher = publishers + Int(index)
            let due = group.pointee.intended(group.pointee.cycle, publisher.pointee.ordinal)
            guard due <= now else {
                loop.requestTurn(by: Instant(nanoseconds: due))
                return
            }
            publisher.pointee.due &+= 1
            activate(index)
            group.pointee.member += 1
            if group.pointee.member == group.pointee.clientCount {
                group.pointee.member = 0
                group.pointee.cycle &+= 1
            }
        }
    }

    // MARK: Sending

    /// Sends what is due and allowed of one publisher, at most a batch.
    private func pump(_ index: Int32, _ now: UInt64) {
        let publisher = publishers + Int(index)
        publisher.pointee.isActive = false
        let client = clients + Int(publisher.pointee.client)
        let group = groups + Int(client.pointee.group)
        guard client.pointee.phase == .ready, group.pointee.isPublishing,
            // Else `outputDrained` follows.
            loop.outputCount(client.pointee.connection) <= plan.outputMax
        else { return }
        var count = Int(publisher.pointee.due)
        if group.pointee.qos != .atMostOnce {
            count = min(count, Int(publisher.pointee.window.freeCount))
        } else if group.pointee.lag > 0 {
            count = min(count, lagRoom(publisher, group.pointee))
        }
        let size =
            publisher.pointee.template >= 0
            ? Int(publisher.pointee.packetSize) : 64 + Int(group.pointee.payloadBytes)
        let batch = max(Int(group.pointee.batchBytes) / size, 1)
        let sent = min(count, batch)
        guard sent > 0 else { return }
        publisher.pointee.due &-= UInt32(sent)
        if publisher.pointee.template >= 0, !group.pointee.isEmpty {
            sendTemplates(publisher, client, group.pointee, sent, now)
        } else {
            for _ in 0..<sent { sendRendered(publisher, client, group.pointee, now) }
        }
        state.pointee.counters.sent += UInt64(sent)
        if count > batch { activate(index) }
    }

    private func sendTemplates(
        _ publisher: UnsafeMutablePointer<Publisher>, _ client: UnsafeMutablePointer<LoadClient>,
        _ group: GroupState, _ count: Int, _ now: UInt64
    ) {
        let size = Int(publisher.pointee.packetSize)
        let frame = usesFrames ? ClientFraming.headerSize(size) : 0
        let connection = client.pointee.connection
        let start = room(connection, count * (frame + size))
        let header = Int(publisher.pointee.payloadOffset)
        let template = templates + Int(publisher.pointee.template)
        let payload = size - header
        for position in 0..<count {
            let packet = start + position * (frame + size) + frame
            let intended = intendedTime(publisher, group, now)
            packet.copyMemory(from: template, byteCount: header)
            if group.qos != .atMostOnce {
                let id = publisher.pointee.window.take(intended: intended)
                packet.storeBytes(
                    of: id.bigEndian, toByteOffset: Int(publisher.pointee.packetIDOffset),
                    as: UInt16.self)
            }
            stamp(publisher, intended).write(to: packet + header)
            if payload > MessageStamp.size {
                (packet + header + MessageStamp.size).copyMemory(
                    from: filling + MessageStamp.size, byteCount: payload - MessageStamp.size)
            }
            publisher.pointee.sequence &+= 1
            if usesFrames {
                ClientFraming.finish(packet - frame, payload: size, mask: mask(client))
            }
        }
        loop.commitOutput(connection, count * (frame + size))
    }

    /// A message whose topic differs from the last one's.
    private func sendRendered(
        _ publisher: UnsafeMutablePointer<Publisher>, _ client: UnsafeMutablePointer<LoadClient>,
        _ group: GroupState, _ now: UInt64
    ) {
        guard let publishing = plan.groups[Int(client.pointee.group)].publishing else { return }
        let intended = intendedTime(publisher, group, now)
        let group = group.isEmpty ? group.withoutPayload : group
        var values = PatternValues(
            number: plan.groups[Int(client.pointee.group)].firstNumber
                + Int(client.pointee.index))
        if publishing.topic.usesNames {
            values = plan.groups[Int(client.pointee.group)].values(
                Int(client.pointee.index), plan.target, &state.pointee.random)
        }
        values.sequence = UInt64(publisher.pointee.sequence &- publisher.pointee.roundBase)
        var packetID: UInt16 = 0
        if group.qos != .atMostOnce {
            packetID = publisher.pointee.window.take(intended: intended)
        }
        let fields = PublishFields(
            version: plan.target.version, qos: group.qos, dup: false, retain: group.retain,
            packetID: packetID, topicAlias: 0, messageExpiry: nil)
        let none = UnsafeBufferPointer<UInt32>(start: nil, count: 0)
        state.pointee.scratch.removeAll()
        state.pointee.scratch.append(bigEndian: 0 as UInt16)
        publishing.topic.write(values, &state.pointee.random, into: &state.pointee.scratch)
        state.pointee.scratch.patch(
            bigEndian: UInt16(clamping: state.pointee.scratch.count - 2), at: 0)
        let topic = state.pointee.scratch.bytes
        let packet = PublishEncoding(
            fields, topicSize: topic.count, forwardedSize: 0,
            payloadSize: Int(group.payloadBytes), subscriptionIDs: none)
        let mark = stamp(publisher, intended)
        emit(client, packet.totalSize) { place in
            packet.writeHeader(
                to: place, topic: topic,
                forwarded: UnsafeRawBufferPointer(start: nil, count: 0), subscriptionIDs: none)
            if group.payloadBytes == 0 { return }
            let payload = place + packet.headerSize
            payload.copyMemory(from: filling, byteCount: Int(group.payloadBytes))
            mark.write(to: payload)
        }
        if group.isEmpty { publisher.pointee.uncounted &+= 1 }
        publisher.pointee.sequence &+= 1
    }

    /// When this message should have gone; notes how late we are ourselves.
    @inline(__always)
    private func intendedTime(
        _ publisher: UnsafeMutablePointer<Publisher>, _ group: GroupState, _ now: UInt64
    ) -> UInt64 {
        guard group.isPaced else { return now }
        let count = publisher.pointee.sequence &- publisher.pointee.roundBase
        let intended = group.intended(count, publisher.pointee.ordinal)
        if isMeasured(intended) {
            state.pointee.sendDelay.record(now > intended ? now - intended : 0)
        }
        return intended
    }

    @inline(__always)
    private func stamp(
        _ publisher: UnsafeMutablePointer<Publisher>, _ intended: UInt64
    ) -> MessageStamp {
        MessageStamp(
            intended: intended, sequence: publisher.pointee.sequence,
            stream: publisher.pointee.stream, tag: tag)
    }

    // MARK: Lag

    private func lagRoom(
        _ publisher: UnsafeMutablePointer<Publisher>, _ group: GroupState
    ) -> Int {
        let received = receivedCount(publisher.pointee.stream) / group.copies
        if received != publisher.pointee.lagSeen {
            publisher.pointee.lagSeen = received
            publisher.pointee.lagTime = loop.now.nanoseconds
        }
        let out = publisher.pointee.sequence &- publisher.pointee.lagBase &- received
        return out >= group.lag ? 0 : Int(group.lag - out)
    }

    private static let stuckTime: UInt64 = 300_000_000

    /// QoS 0 may be lost: a window that has not moved for a while is freed, and counted.
    func freeStuckLags() {
        for number in plan.groups.indices {
            let group = groups[number]
            guard group.isPublishing, group.lag > 0, group.publisherBase >= 0 else { continue }
            for index in range(of: group) {
                let publisher = publishers + index
                guard publisher.pointee.due > 0, !publisher.pointee.isActive,
                    clients[Int(publisher.pointee.client)].phase == .ready,
                    lagRoom(publisher, group) == 0,
                    loop.now.nanoseconds > publisher.pointee.lagTime + Self.stuckTime
                else { continue }
                publisher.pointee.lagBase =
                    publisher.pointee.sequence &- publisher.pointee.lagSeen
                publisher.pointee.lagTime = loop.now.nanoseconds
                state.pointee.counters.lagResets += 1
                activate(Int32(index))
            }
        }
    }
}
