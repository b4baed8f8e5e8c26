import CLinux

/// A few threads for work that a loop must not do: password hashes, name resolution, files.
///
/// Bounded twice: `threadCount` jobs run at once, `queueLimit` wait; what comes then is refused,
/// and the caller answers "server busy". Jobs run in the order of submission. Ends with `stop`,
/// which lets running jobs finish and forgets waiting ones.
package final class BlockingPool: @unchecked Sendable {
    /// A piece of work; it hands its result on by itself.
    package typealias Job = @Sendable () -> Void

    package let queueLimit: Int
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let wake: UnsafeMutablePointer<pthread_cond_t>
    /// Guarded by the mutex, like all below.
    private var waiting: [Job] = []
    private var head = 0
    private var isStopping = false
    private var threads: [pthread_t] = []

    package init(threadCount: Int, queueLimit: Int) {
        invariant(threadCount > 0 && queueLimit > 0, "\(threadCount) threads, \(queueLimit) jobs")
        self.queueLimit = queueLimit
        mutex = .allocate(capacity: 1)
        wake = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
        for _ in 0..<threadCount { startThread() }
    }

    deinit {
        pthread_cond_destroy(wake)
        pthread_mutex_destroy(mutex)
        wake.deallocate()
        mutex.deallocate()
    }

    /// False if the queue is full or the pool has stopped: the job will not run.
    package func submit(_ job: @escaping Job) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isStopping, waiting.count - head < queueLimit else { return false }
        waiting.append(job)
        pthread_cond_signal(wake)
        return true
    }

    /// Jobs that wait for a thread.
    package var waitingCount: Int {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return waiting.count - head
    }

    /// Waits for the running jobs; the threads are gone afterwards. Not from a job.
    package func stop() {
        pthread_mutex_lock(mutex)
        isStopping = true
        waiting.removeAll()
        head = 0
        let ending = threads
        threads = []
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
        for thread in ending { pthread_join(thread, nil) }
    }

    private func startThread() {
        // The thread holds the pool until `stop`, so a pool without `stop` lives for ever.
        let context = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<BlockingPool>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if status != 0 {
            context.release()
            return
        }
        threads.append(thread)
    }

    private func run() {
        while let job = next() { job() }
    }

    private func next() -> Job? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == waiting.count {
            if isStopping { return nil }
            pthread_cond_wait(wake, mutex)
        }
        let job = waiting[head]
        head += 1
        if head == waiting.count || head >= 1_024 {
            waiting.removeFirst(head)
            head = 0
        }
        return job
    }
}
