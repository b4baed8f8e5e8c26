import Base
import Foundation
import Policy

/// The log of the process: lines on standard error, written by a thread of their own, so that a
/// slow reader never holds a loop.
///
/// At most `linesMax` lines wait; what comes then is left out and counted, and the count is said
/// with the next line that gets through.
final class ProcessLog: Sendable {
    static let linesMax = 4_096

    private struct State {
        var level: EventLevel
        var suppressed = 0
    }

    private let state: Guarded<State>
    private let format: Configuration.LogFormat
    private let pool: BlockingPool

    init(_ options: Configuration.Log) {
        state = Guarded(State(level: EventLevel(options.level)))
        format = options.format
        pool = BlockingPool(threadCount: 1, queueLimit: Self.linesMax)
    }

    /// From now on lines below this are left out.
    func set(_ level: Configuration.LogLevel) { state.withLock { $0.level = EventLevel(level) } }

    /// Puts a line into the queue. From any thread.
    func write(_ level: EventLevel, _ text: String) {
        guard state.withLock({ level >= $0.level }) else { return }
        let now = Date()
        if pool.submit({ [self] in put(render(level, text, at: now)) }) { return }
        state.withLock { $0.suppressed += 1 }
    }

    /// Waits, for a second at most, until what was written has left the process.
    func flush() {
        let done = DispatchSemaphore(value: 0)
        guard pool.submit({ done.signal() }) else { return }
        _ = done.wait(timeout: .now() + 1)
    }

    private func put(_ line: String) {
        let suppressed = state.withLock { state in
            defer { state.suppressed = 0 }
            return state.suppressed
        }
        let note =
            suppressed == 0
            ? ""
            : render(.warning, "\(suppressed) lines were left out: the log is slow", at: Date())
        let bytes = Array((note + line).utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Foundation.write(STDERR_FILENO, $0.baseAddress! + sent, bytes.count - sent)
            }
            if count <= 0 && errno != EINTR { return }
            sent += max(count, 0)
        }
    }

    private func render(_ level: EventLevel, _ text: String, at date: Date) -> String {
        let time = date.formatted(
            Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        switch format {
        case .text: return "\(time) \(level) \(text)\n"
        case .json:
            return "{\"time\":\"\(time)\",\"level\":\"\(level)\",\"message\":"
                + text.quotedForJSON + "}\n"
        }
    }
}

extension EventLevel {
    init(_ level: Configuration.LogLevel) {
        switch level {
        case .debug: self = .debug
        case .info: self = .info
        case .notice: self = .notice
        case .warning: self = .warning
        case .error: self = .error
        }
    }
}
