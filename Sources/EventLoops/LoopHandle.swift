import Base
import CLinux

/// What threads share of one loop: how to wake it, what outside threads want of it.
///
/// The handle that others keep. Lives until the last of them lets go; its loop may end before.
package final class LoopHandle: @unchecked Sendable {
    /// Mail from outside, and its bytes in all. Limit: `outsideMax`.
    private struct Letters {
        var letters: [[UInt8]] = []
        var count = 0
    }

    private let inbox = Guarded<Letters>(Letters())
    /// Words that threads share, each on cache lines of its own.
    private let wishes: UnsafeMutablePointer<UInt32>
    /// 1 while the loop sleeps or is about to.
    private let sleeping: UnsafeMutablePointer<UInt32>
    private let descriptor: Int32
    package let worker: WorkerIndex

    /// Bytes of mail from outside that may wait for the loop.
    package static let outsideMax = 64 * 1024 * 1024

    struct Wishes: OptionSet {
        var rawValue: UInt32
        static let drain = Wishes(rawValue: 1)
        static let stop = Wishes(rawValue: 2)
        static let mail = Wishes(rawValue: 4)
    }

    init(worker: WorkerIndex) throws(LoopError) {
        self.worker = worker
        wishes = .allocate(capacity: 64)
        wishes.initialize(repeating: 0, count: 64)
        sleeping = wishes + 32
        descriptor = apus_eventfd()
        if descriptor < 0 {
            throw .cannotStart(reason: "eventfd: " + System.describe(-descriptor))
        }
    }

    deinit {
        if descriptor >= 0 { System.close(descriptor) }
        wishes.deallocate()
    }

    // MARK: Any thread

    /// Hands the loop one block of mail, from `WorkerIndex.outside`. False if too much waits.
    package func post(_ bytes: [UInt8]) -> Bool {
        let isTaken = inbox.withLock { inbox in
            guard inbox.count + bytes.count <= Self.outsideMax else { return false }
            inbox.letters.append(bytes)
            inbox.count += bytes.count
            return true
        }
        if isTaken { wish(.mail) }
        return isTaken
    }

    /// Asks the loop to stop accepting and to tell its handler.
    package func requestDrain() { wish(.drain) }

    /// Asks the loop to end: every connection is closed.
    package func requestStop() { wish(.stop) }

    private func wish(_ wish: Wishes) {
        _ = apus_atomic_or_u32(wishes, wish.rawValue)
        _ = wake()
    }

    /// Wakes the loop if it sleeps; true if it took a system call.
    @discardableResult
    func wake() -> Bool {
        // What the caller wrote before must be visible before the flag is read.
        apus_atomic_fence()
        guard apus_atomic_load_u32(sleeping) == 1, apus_atomic_exchange_u32(sleeping, 0) == 1
        else { return false }
        System.signal(descriptor)
        return true
    }

    // MARK: The loop's thread

    var wakeDescriptor: Int32 { descriptor }

    /// From now on others wake the loop: it looks once more for work after this, then sleeps.
    func prepareToSleep() {
        _ = apus_atomic_exchange_u32(sleeping, 1)
        // The rings are looked at after the flag is visible.
        apus_atomic_fence()
    }

    func endSleep() { apus_atomic_store_u32(sleeping, 0) }

    var hasWishes: Bool { apus_atomic_load_u32(wishes) != 0 }

    func takeWishes() -> Wishes {
        guard hasWishes else { return [] }
        return Wishes(rawValue: apus_atomic_exchange_u32(wishes, 0))
    }

    func takeMail() -> [[UInt8]] {
        inbox.withLock { inbox in
            let letters = inbox.letters
            inbox = Letters()
            return letters
        }
    }
}
