import Base
import Dist
import MQTT
import Policy

/// Like publishes of QoS 0 that stand one behind the other in a read, for receivers that nothing
/// sets apart: they are copied together.
///
/// ```
///  read:     PUBLISH a | PUBLISH a | PUBLISH a | PUBLISH b ...
///            judged,     `------ burst ------'
///            routed      one copy for each receiver
/// ```
/// All or nothing: where one receiver needs anything else, the packets go one by one. What is
/// counted for a message is counted for each.
extension Worker {
    /// Delivers the burst that begins at `start`; where it ends, or nil if the packet is none.
    @inline(__always)
    func passBurst(
        _ header: FixedHeader, _ start: Int, _ bytes: RawSpan, _ sizeLimit: Int,
        _ yieldsAt: UInt64, _ session: UnsafeMutablePointer<Session>
    ) -> Int? {
        guard run.isCopied, run.isOpen, header.type == .publish else { return nil }
        return copyBurst(header, start, bytes, sizeLimit, yieldsAt, session)
    }

    @inline(never)
    private func copyBurst(
        _ header: FixedHeader, _ start: Int, _ bytes: RawSpan, _ sizeLimit: Int,
        _ yieldsAt: UInt64, _ session: UnsafeMutablePointer<Session>
    ) -> Int? {
        guard let plan = run.plan, run.changes == routes.changes, plan.isOneFilterHere,
            run.first.qos == .atMostOnce, isUndisturbed,
            session.pointee.phase == .live, !session.pointee.flags.contains(.metersInput)
        else { return nil }
        let receivers = filters.subscribers(FilterToken(plan.ownTokens[0]))
        let version = session.pointee.machine.version
        // Until the connection's part of the turn is used up; one packet may go beyond it.
        let left = Int(clamping: yieldsAt &- metrics.publishesOut)
        let most = left / max(receivers.count, 1) + 1
        guard receivers.count <= sliceAbove else { return nil }
        let burst = burst(from: header, start, bytes, sizeLimit, version, atMost: most)
        guard burst.count > 0 else { return nil }
        guard areCopied(receivers, version, burst.packetSize) else {
            run.isCopied = false
            return nil
        }
        bytes.withUnsafeBytes {
            copy(UnsafeRawBufferPointer(rebasing: $0[start..<burst.end]), to: receivers)
        }
        note(burst, receivers.count, session.pointee.tenant)
        return burst.end
    }

    /// Nothing under way concerns every message.
    private var isUndisturbed: Bool {
        !isShedding && !isRejudging && !isDebugging && retainLanes.isEmpty
    }

    /// How many packets like the first of the run follow.
    private func burst(
        from header: FixedHeader, _ start: Int, _ bytes: RawSpan, _ sizeLimit: Int,
        _ version: ProtocolVersion, atMost most: Int
    ) -> Burst {
        var burst = Burst(end: start)
        var header = header
        while burst.count < most, header.totalSize < WorkerLimits.sharedPayloadMin,
            burst.end &- start &+ header.totalSize <= WorkerLimits.burstBytesMax,
            PublishPacket.decode(header, bytes, version, like: run.first) != nil
        {
            burst.count &+= 1
            burst.end &+= header.totalSize
            burst.packetSize = max(burst.packetSize, header.totalSize)
            guard burst.end < bytes.byteCount,
                case .frame(let next) = FixedHeader.decode(
                    bytes, offset: burst.end, maximumPacketSize: sizeLimit),
                next.type == .publish
            else { break }
            header = next
        }
        return burst
    }

    /// Whether each of them gets the packets exactly as they came.
    private func areCopied(
        _ receivers: UnsafeBufferPointer<Subscriber>, _ version: ProtocolVersion, _ size: Int
    ) -> Bool {
        for receiver in receivers {
            let session = sessions[pointer: receiver.session]
            guard session.pointee.takesCopies, receiver.subscriptionID == 0,
                !SubscriptionOptions(rawValue: receiver.options).noLocal,
                (session.pointee.machine.version == .v5) == (version == .v5),
                size <= Int(session.pointee.packetSizeMax)
            else { return false }
        }
        return true
    }

    private func copy(
        _ frames: UnsafeRawBufferPointer, to receivers: UnsafeBufferPointer<Subscriber>
    ) {
        guard let bytes = frames.baseAddress else { return }
        for receiver in receivers {
            let session = sessions[pointer: receiver.session]
            reserve(frames.count, session).copyMemory(from: bytes, byteCount: frames.count)
            wrote(frames.count, session)
            checkOutput(session)
        }
        metrics.bytesOut &+= UInt64(frames.count &* receivers.count)
    }

    private func note(_ burst: Burst, _ receivers: Int, _ tenant: TenantSlot) {
        metrics.packetsIn &+= UInt64(burst.count)
        metrics.publishesIn &+= UInt64(burst.count)
        metrics.publishesOut &+= UInt64(burst.count &* receivers)
        events.metrics.count(.disted, tenant, by: burst.count)
        events.metrics.count(.delivered, tenant, by: burst.count)
        events.metrics.count(.qos0Pushed, tenant, by: burst.count &* receivers)
    }
}

/// Packets that stand one behind the other.
private struct Burst {
    var count = 0
    /// Behind the last of them.
    var end: Int
    /// Bytes of the largest.
    var packetSize = 0
}
