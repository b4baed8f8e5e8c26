import Foundation
import Glibc

/// A program that a test starts, watches and ends.
///
/// Every wait has a bound. Whatever the test does, the process is gone when the owner lets go.
/// Servers are told to listen on port 0 and say which port they got, in their output or a file.
///
/// Two threads serve it, one that reads its output and one that waits for its end. (Foundation's
/// `Process` would do, but closing a pipe that it watches races with its own event loop, and takes
/// the test program with it once in a few hundred starts.)
package final class ChildProcess {
    package let pid: Int32
    private let state: State
    /// Output beyond this is dropped: a runaway child must not take the test with it.
    fileprivate static let outputBytesMax = 16 << 20

    /// Starts the program; standard output and standard error are collected together.
    package init(
        path: String, arguments: [String] = [], environment: [String: String] = [:]
    ) throws {
        let whole = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var ends: [Int32] = [-1, -1]
        // A pair of sockets, not a pipe: it is closed in other children from its first moment.
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw ChildProcessError(call: "socketpair", code: errno)
        }
        defer { close(ends[1]) }
        do {
            pid = try Spawn.run(
                path, arguments, whole.map { "\($0)=\($1)" }, output: ends[1])
        } catch {
            close(ends[0])
            throw error
        }
        let state = State()
        self.state = state
        let (pid, output) = (pid, ends[0])
        Thread.detachNewThread { state.read(output) }
        Thread.detachNewThread { state.awaitEnd(of: pid) }
    }

    deinit { send(signal: SIGKILL) }

    package var isRunning: Bool { state.condition.withLock { state.status == nil } }

    /// Everything printed so far.
    package var output: String {
        state.condition.withLock { String(decoding: state.collected, as: UTF8.self) }
    }

    /// Does nothing once the process has ended: its number may be another's then.
    package func send(signal: Int32) {
        state.condition.withLock {
            if !state.isReaped { Glibc.kill(pid, signal) }
        }
    }

    /// The exit status (negative: the signal that ended it), or nil if it runs on after `span`.
    package func waitForExit(within span: Duration) -> Int32? {
        _ = wait(within: span) { state.status != nil }
        return state.condition.withLock { state.status }
    }

    /// Whether the text appeared in the output within `span`.
    package func waitForOutput(_ text: String, within span: Duration) -> Bool {
        wait(within: span) {
            String(decoding: state.collected, as: UTF8.self).contains(text)
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
        state.condition.lock()
        defer { state.condition.unlock() }
        while !isTrue() {
            if !state.condition.wait(until: deadline) { return isTrue() }
        }
        return true
    }
}

/// What the two threads of a child tell its owner.
private final class State: @unchecked Sendable {
    /// Guards everything here and signals news.
    let condition = NSCondition()
    var collected: [UInt8] = []
    var hasOutputEnded = false
    /// Its number is free for another process.
    var isReaped = false
    /// The exit status, negative for the signal that ended it.
    var status: Int32?

    func read(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            condition.withLock {
                if count <= 0 {
                    hasOutputEnded = true
                } else if collected.count + count <= ChildProcess.outputBytesMax {
                    collected.append(contentsOf: buffer[..<count])
                }
                condition.broadcast()
            }
            if count <= 0 { break }
        }
        close(descriptor)
    }

    func awaitEnd(of pid: Int32) {
        // The number stays taken until `isReaped` is known.
        var ended = siginfo_t()
        while waitid(P_PID, id_t(pid), &ended, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        condition.lock()
        defer { condition.unlock() }
        var word: Int32 = 0
        while waitpid(pid, &word, 0) < 0, errno == EINTR {}
        isReaped = true
        // What it printed is complete first, unless a child of its own keeps the pipe open.
        let deadline = Date(timeIntervalSinceNow: 1)
        while !hasOutputEnded, condition.wait(until: deadline) {}
        status = word & 0x7F == 0 ? word >> 8 & 0xFF : -(word & 0x7F)
        condition.broadcast()
    }
}

/// A system call that starts a process failed.
package struct ChildProcessError: Error {
    package var call: String
    package var code: Int32
}

private enum Spawn {
    static func run(
        _ path: String, _ arguments: [String], _ environment: [String], output: Int32
    ) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Threads of the test runner block every signal; a child would not hear TERM.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var pid: pid_t = 0
        let code = withCStrings([path] + arguments) { words in
            withCStrings(environment) { variables in
                posix_spawn(&pid, path, &actions, &attributes, words, variables)
            }
        }
        guard code == 0 else { throw ChildProcessError(call: "posix_spawn \(path)", code: code) }
        return pid
    }

    private static func withCStrings<R>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        var pointers = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
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
