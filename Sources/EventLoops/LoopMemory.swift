/// What a loop holds in memory, by owner, in bytes: counted when asked, from what its tables say of
/// themselves.
package struct LoopMemory: Sendable, Equatable {
    /// Records of connections, used or not, and those that are arriving or leaving.
    package var connections = 0
    package var timers = 0
    /// Pooled blocks that input, output and mail hold, and descriptions of queued output.
    package var blocksUsed = 0
    /// Pooled blocks kept for reuse.
    package var blocksKept = 0
    /// Where the kernel writes what it receives: as much as may be touched.
    package var receiveBuffers = 0
}

extension EventLoop {
    /// Walks nothing: a few sums.
    package var memory: LoopMemory {
        var memory = LoopMemory()
        memory.connections =
            table.byteCount + state.pointee.arrivals.byteCount + state.pointee.departures.byteCount
        memory.timers = state.pointee.timers.byteCount
        memory.blocksUsed = pool.bytesInUse + state.pointee.segments.byteCount
        memory.blocksKept = pool.bytesKept
        switch poller {
        case .epoll: memory.receiveBuffers = options.readSize
        case .uring:
            memory.receiveBuffers =
                options.uringBufferCount * (options.uringBufferSize + UringPoller.headroom)
        }
        return memory
    }
}
