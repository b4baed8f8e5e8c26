import Base
import CLinux

/// The loops of a node: starts them on their threads, opens their listeners, ends them.
///
/// Made and used by the thread that starts the node; the loops own everything else. Bound: as many
/// threads as `LoopOptions.workers`.
package final class LoopGroup {
    /// The poller that serves, and why it is not the one that was wished for, if so.
    package let pollerKind: PollerKind
    package let pollerReason: String?
    /// One per loop, for outside threads.
    package var handles: [LoopHandle] { fabric.handles }
    /// Where each listener is bound, in the order of the options (the port that the kernel chose).
    package let addresses: [ListenerAddress]

    private let fabric: MailFabric
    private var threads: [UInt64] = []
    private var unixPaths: [String] = []

    /// Opens the listeners and starts the loops. `makeHandler` is called on each loop's thread.
    package init(
        options: LoopOptions, listeners: [ListenerOptions],
        makeHandler: @escaping @Sendable (EventLoop) -> any LoopHandler
    ) throws(LoopError) {
        options.check()
        (pollerKind, pollerReason) = try Poller.resolve(options.poller)
        fabric = try MailFabric(
            workers: options.workers, ringCapacity: options.mailRingCapacity)
        var bound: [BoundListener] = []
        do {
            for listener in listeners {
                bound.append(try BoundListener(listener, copies: options.workers))
            }
        } catch {
            for listener in bound { listener.close() }
            throw error
        }
        addresses = bound.map(\.address)
        unixPaths = bound.compactMap(\.unixPath)
        for worker in 0..<options.workers {
            let start = LoopStart(
                worker: WorkerIndex(UInt16(worker)), fabric: fabric, options: options,
                poller: pollerKind, listeners: bound,
                makeHandler: makeHandler)
            threads.append(try start.startThread())
        }
    }

    /// Asks every loop to drain.
    package func drain() { for handle in handles { handle.requestDrain() } }

    /// Asks every loop to end.
    package func stop() { for handle in handles { handle.requestStop() } }

    /// Waits until every loop has ended.
    package func join() {
        for thread in threads { _ = apus_join_thread(thread) }
        threads = []
        for path in unixPaths { System.removeFile(path) }
        unixPaths = []
    }

    /// Processors that this process may run on.
    package static var processorCount: Int { max(Int(apus_allowed_cpu_count()), 1) }

    /// Workers for this process: the processors that it may run on, or fewer if its control group
    /// has a quota (rounded up, at least one).
    package static var defaultWorkerCount: Int {
        guard let quota = ProcessorQuota.ofThisProcess else { return processorCount }
        return max(min(processorCount, quota), 1)
    }
}

/// What a loop's thread needs to begin: handed over to it once.
private final class LoopStart: @unchecked Sendable {
    let worker: WorkerIndex
    let fabric: MailFabric
    let options: LoopOptions
    let poller: PollerKind
    let listeners: [BoundListener]
    let makeHandler: @Sendable (EventLoop) -> any LoopHandler

    init(
        worker: WorkerIndex, fabric: MailFabric, options: LoopOptions, poller: PollerKind,
        listeners: [BoundListener],
        makeHandler: @escaping @Sendable (EventLoop) -> any LoopHandler
    ) {
        self.worker = worker
        self.fabric = fabric
        self.options = options
        self.poller = poller
        self.listeners = listeners
        self.makeHandler = makeHandler
    }

    /// Returns the thread's handle for joining.
    func startThread() throws(LoopError) -> UInt64 {
        var thread: UInt64 = 0
        let argument = Unmanaged.passRetained(self)
        let result = apus_start_thread(
            { argument in
                let start = Unmanaged<LoopStart>.fromOpaque(argument.unsafelyUnwrapped)
                start.takeRetainedValue().run()
                return nil
            }, argument.toOpaque(), &thread)
        guard result == 0 else {
            argument.release()
            throw .cannotStart(reason: "pthread_create: " + System.describe(-result))
        }
        return thread
    }

    private func run() {
        apus_name_thread("loop-\(worker.rawValue)")
        if options.pinsThreads {
            let position = Int(worker.rawValue) % LoopGroup.processorCount
            _ = apus_pin_thread(apus_allowed_cpu(Int32(position)))
        }
        let loop = openLoop()
        loop.attach(makeHandler(loop))
        loop.run()
    }

    /// The probe has found that the poller works; should it fail now for this thread (memory),
    /// epoll serves.
    private func openLoop() -> EventLoop {
        for kind in [poller, .epoll] {
            if let loop = try? EventLoop(
                worker: worker, fabric: fabric, options: options, poller: kind,
                listeners: listeners)
            {
                return loop
            }
        }
        invariantFailed("no poller can be opened on loop \(worker.rawValue)")
    }
}
