import Foundation
import Glibc
import Synchronization

/// Does something when a signal asks the program to end, on a thread of its own: a handler itself
/// may do next to nothing.
///
/// One at a time; the old handlers are in force again after `cancel`.
final class SignalGuard: Sendable {
    /// The handler's end of the pipe. Written before the handlers are set, read by them alone.
    private static let descriptor = Atomic<Int32>(-1)
    private static let isTaken = Atomic<Bool>(false)

    /// SIG_IGN as a number.
    private static let ignore = 1

    private let signals: [Int32]
    private let saved: [Int32: sigaction]
    private let writeEnd: Int32
    /// Signalled by the thread at its end.
    private let finished = DispatchSemaphore(value: 0)

    /// Nil if another guard stands, or no descriptor is left.
    init?(_ signals: [Int32], _ action: @escaping @Sendable (Int32) -> Void) {
        guard !Self.isTaken.exchange(true, ordering: .acquiringAndReleasing) else { return nil }
        var ends: [Int32] = [-1, -1]
        guard LocalPair.open(&ends) else {
            Self.isTaken.store(false, ordering: .releasing)
            return nil
        }
        self.signals = signals
        writeEnd = ends[1]
        Self.descriptor.store(ends[1], ordering: .releasing)
        var saved: [Int32: sigaction] = [:]
        for number in signals {
            var old = sigaction()
            sigaction(number, nil, &old)
            // Whoever started this program in the background has it ignore what a key sends.
            guard unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self) != Self.ignore
            else { continue }
            var new = sigaction()
            new.__sigaction_handler.sa_handler = { SignalGuard.tell($0) }
            sigaction(number, &new, nil)
            saved[number] = old
        }
        self.saved = saved
        let readEnd = ends[0]
        let finished = finished
        Thread.detachNewThread {
            var byte: UInt8 = 0
            while true {
                let count = read(readEnd, &byte, 1)
                if count < 0, errno == EINTR { continue }
                guard count == 1, byte != 0 else { break }
                action(Int32(byte))
            }
            close(readEnd)
            finished.signal()
        }
    }

    /// Ends it. Not from within the action.
    func cancel() {
        for number in signals {
            guard var old = saved[number] else { continue }
            sigaction(number, &old, nil)
        }
        Self.descriptor.store(-1, ordering: .releasing)
        // A number that no signal has.
        var byte: UInt8 = 0
        write(writeEnd, &byte, 1)
        finished.wait()
        close(writeEnd)
        Self.isTaken.store(false, ordering: .releasing)
    }

    /// In the handler: one system call, and errno as it was.
    private static func tell(_ number: Int32) {
        let saved = errno
        var byte = UInt8(truncatingIfNeeded: number)
        let end = descriptor.load(ordering: .acquiring)
        if end >= 0 { write(end, &byte, 1) }
        errno = saved
    }
}
