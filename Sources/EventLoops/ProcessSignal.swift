import Base
import CLinux

/// What an operator asks of the process by signal.
///
/// The main thread calls `block` before any other thread is started, so that all inherit it, and
/// then takes one signal after the other. Nothing runs in a signal handler.
package enum ProcessSignal: Equatable, Sendable {
    /// TERM or INT: drain and end.
    case terminate
    /// HUP: read certificates and files again.
    case reload

    /// From now on signals wait for `next`, on this thread and those that it starts.
    package static func block() {
        let result = apus_block_signals()
        invariant(result == 0, "pthread_sigmask: \(System.describe(-result))")
        apus_ignore_broken_pipes()
    }

    /// Waits for the next signal.
    package static func next() -> ProcessSignal {
        while true {
            let number = apus_next_signal()
            if number == SIGHUP { return .reload }
            if number == SIGTERM || number == SIGINT { return .terminate }
            invariant(number >= 0, "sigwait: \(System.describe(-number))")
        }
    }

    /// Waits for the next signal, at most so long; nil if none came.
    package static func next(within span: Duration) -> ProcessSignal? {
        let number = apus_next_signal_within(max(span.nanoseconds, 0))
        if number == SIGHUP { return .reload }
        if number == SIGTERM || number == SIGINT { return .terminate }
        invariant(
            number == -EAGAIN || number == -EINTR, "sigtimedwait: \(System.describe(-number))")
        return nil
    }
}
