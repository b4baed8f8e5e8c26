import Base
import CLinux

/// Accepting: bounded per turn, pausing when descriptors run out.
extension EventLoop {
    /// epoll: connections wait at a listener.
    func acceptAll(_ number: Int) {
        guard number < listeners.count, listeners[number].descriptor >= 0 else { return }
        var peer = sockaddr_storage()
        var size: UInt32 = 0
        for _ in 0..<options.acceptsPerTurn {
            let result = System.accept(listeners[number].descriptor, peer: &peer, size: &size)
            if result == -System.again { return }
            guard result >= 0 else { return acceptFailed(number, -result) }
            take(result, listener: number, peer: PeerAddress(peer))
            if listeners[number].isPaused { return }
        }
    }

    func watchListener(_ number: Int) {
        listeners[number].isArmed = true
        poller.watchListener(listeners[number].descriptor, number: number)
    }

    /// A listener takes no more connections for so long; those that the kernel has taken for it
    /// already still come. They wait in the listener's queue.
    package func pauseAccepting(_ number: Int, for span: Duration) {
        guard listeners[number].descriptor >= 0, !listeners[number].isPaused else { return }
        poller.unwatchListener(listeners[number].descriptor, number: number)
        pause(number, for: span, .asked)
    }

    private func pause(_ number: Int, for span: Duration, _ reason: AcceptPause) {
        counters.acceptPauses += 1
        listeners[number].isPaused = true
        _ = timers.schedule(
            at: now + span, token: UInt64(number), kind: TimerKind.accept.rawValue)
        handler?.acceptPaused(listener: number, reason: reason)
    }

    /// io_uring: a connection of the multishot accept, or its end.
    func completeAccept(_ number: Int, result: Int32, isLast: Bool) {
        if result >= 0 {
            var peer = sockaddr_storage()
            var size: UInt32 = 0
            if isDraining || apus_peer_address(result, &peer, &size) < 0 {
                // Reset before it was accepted, or accepted after the listener was closed.
                System.close(result)
            } else {
                take(result, listener: number, peer: PeerAddress(peer))
            }
        } else if System.isExhaustion(-result) {
            acceptFailed(number, -result)
        }
        guard isLast else { return }
        listeners[number].isArmed = false
        if listeners[number].descriptor >= 0, !listeners[number].isPaused {
            watchListener(number)
        }
    }

    private func acceptFailed(_ number: Int, _ error: Int32) {
        invariant(
            System.isExhaustion(error), "accept failed with \(System.describe(error))")
        guard !listeners[number].isPaused else { return }
        if case .epoll = poller {
            poller.unwatchListener(listeners[number].descriptor, number: number)
        }
        pause(number, for: options.acceptPause, .exhausted(errno: error))
    }

    func resumeAccepting(_ number: Int) {
        guard listeners[number].descriptor >= 0, listeners[number].isPaused else { return }
        listeners[number].isPaused = false
        handler?.acceptResumed(listener: number)
        switch poller {
        case .epoll: watchListener(number)
        // One that is being cancelled still reports its end, and is armed anew then.
        case .uring: if !listeners[number].isArmed { watchListener(number) }
        }
    }

    func closeListeners() {
        for number in listeners.indices where listeners[number].descriptor >= 0 {
            if !listeners[number].isPaused {
                poller.unwatchListener(listeners[number].descriptor, number: number)
            }
            System.close(listeners[number].descriptor)
            listeners[number].descriptor = -1
        }
    }

    /// A descriptor becomes a connection, or is turned away at the limit.
    private func take(_ descriptor: Int32, listener number: Int, peer: PeerAddress) {
        guard let index = table.take() else {
            counters.refused += 1
            return System.close(descriptor)
        }
        let record = table[index]
        record.pointee.descriptor = descriptor
        record.pointee.listener = UInt16(truncatingIfNeeded: number)
        record.pointee.stage = listeners[number].firstStage
        record.pointee.inputLimit = UInt32(clamping: options.inputLimit)
        let id = table.id(of: index)
        switch poller {
        case .epoll(let poller):
            guard poller.watchConnection(descriptor, id) else {
                counters.refused += 1
                System.close(descriptor)
                return table.release(index)
            }
        case .uring: armReceive(index)
        }
        beginPipeline(index, peer: peer, local: localAddress(descriptor, listener: number))
    }

    private func localAddress(_ descriptor: Int32, listener number: Int) -> PeerAddress {
        let address = listeners[number].address
        guard address.isWildcard else { return address }
        var storage = sockaddr_storage()
        var size: UInt32 = 0
        if apus_local_address(descriptor, &storage, &size) < 0 { return address }
        return PeerAddress(storage)
    }
}
