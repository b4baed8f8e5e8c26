import Foundation
import Glibc

/// A program that a test starts, watches and ends.
///
/// Every wait has a bound. Whatever the test does, the process is gone when the owner lets go.
/// Servers are told to listen on port 0 and say which port they got, in their output or a file.
package final class ChildProcess: @unchecked Sendable {
    private let process = Process()
    /// Guards the collected output and signals news.
    private let condition = NSCondition()
    private var collected: [UInt8] = []
    private var hasExited = false
    /// Output beyond this is dropped: a runaway child must not take the test with it.
    private static let outputBytesMax = 16 << 20

    /// Starts the program; standard output and standard error are collected together.
    package init(
        path: String, arguments: [String] = [], environment: [String: String] = [:],
        directory: String? = nil
    ) throws {
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(environment) { _, given in given }
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
        process.standardInput = FileHandle.nullDevice
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        pipe.fileHandleForReading.readabilityHandler = { [weak self] handle in
            let bytes = handle.availableData
            if bytes.isEmpty { handle.readabilityHandler = nil }
            self?.collect(bytes)
        }
        process.terminationHandler = { [weak self] _ in self?.noteExit() }
        try SignalMask.whileEmpty { try process.run() }
    }

    deinit {
        if process.isRunning { Glibc.kill(pid, SIGKILL) }
    }

    package var pid: Int32 { process.processIdentifier }

    package var isRunning: Bool { process.isRunning }

    /// Everything printed so far.
    package var output: String {
        condition.withLock { String(decoding: collected, as: UTF8.self) }
    }

    package func send(signal: Int32) { Glibc.kill(pid, signal) }

    /// The exit status (negative: the signal that ended it), or nil if it runs on after `span`.
    package func waitForExit(within span: Duration) -> Int32? {
        guard wait(within: span, until: { hasExited }) else { return nil }
        return process.terminationReason == .exit
            ? process.terminationStatus : -process.terminationStatus
    }

    /// Whether the text appeared in the output within `span`.
    package func waitForOutput(_ text: String, within span: Duration) -> Bool {
        wait(within: span) {
            String(decoding: collected, as: UTF8.self).contains(text)
        }
    }

    /// The contents of a file once it exists and is not empty; nil if that takes longer than `span`
    /// or the process ends before.
    package func waitForFile(_ path: String, within span: Duration) -> String? {
        let watch = DirectoryWatch(URL(fileURLWithPath: path).deletingLastPathComponent().path)
        let deadline = ContinuousClock.now + span
        while true {
            if let text = try? String(contentsOfFile: path, encoding: .utf8), !text.isEmpty {
                return text
            }
            guard isRunning, ContinuousClock.now < deadline else { return nil }
            watch.wait(milliseconds: 100)
        }
    }

    /// Asks it to end, and kills it if it does not within `span`. Gives the exit status.
    @discardableResult
    package func terminate(within span: Duration = .seconds(10)) -> Int32? {
        send(signal: SIGTERM)
        if let status = waitForExit(within: span) { return status }
        send(signal: SIGKILL)
        return waitForExit(within: .seconds(10))
    }

    private func wait(within span: Duration, until isTrue: () -> Bool) -> Bool {
        let seconds =
            Double(span.components.seconds)
            + Double(span.components.attoseconds) / 1e18
        let deadline = Date(timeIntervalSinceNow: seconds)
        condition.lock()
        defer { condition.unlock() }
        while !isTrue() {
            if !condition.wait(until: deadline) { return isTrue() }
        }
        return true
    }

    private func collect(_ bytes: Data) {
        condition.withLock {
            if collected.count + bytes.count <= Self.outputBytesMax {
                collected.append(contentsOf: bytes)
            }
            condition.broadcast()
        }
    }

    private func noteExit() {
        condition.withLock {
            hasExited = true
            condition.broadcast()
        }
    }
}

/// Threads of the test runner block every signal; a child inherits that and would not hear TERM.
private enum SignalMask {
    static func whileEmpty(_ body: () throws -> Void) rethrows {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try body()
    }
}

/// Wakes when something in a directory changes.
private final class DirectoryWatch {
    private let descriptor: Int32

    init(_ path: String) {
        descriptor = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        let events = UInt32(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MODIFY)
        _ = inotify_add_watch(descriptor, path, events)
    }

    deinit { close(descriptor) }

    func wait(milliseconds: Int32) {
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, milliseconds) > 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        while read(descriptor, &buffer, buffer.count) > 0 {}
    }
}
