import Foundation
import Glibc
import Synchronization

/// A program that was started here and is ended here, by its number, whatever happens.
///
/// It leads a process group of its own: a key press at the terminal does not reach it, so that the
/// one who started it decides when it ends; and what it started itself goes with it. It inherits
/// nothing but the descriptors given.
///
/// Any thread may ask for its end; the lock decides who collects its status, and keeps its number
/// from being used once it may be another's.
package final class SpawnedProcess: Sendable {
    package let pid: Int32
    /// The exit status, negative for the signal that ended it; nil while it runs.
    private let collected = Mutex<Int32?>(nil)

    private static let pollMilliseconds: Int32 = 5
    private static let killMilliseconds = 5_000

    /// Both outputs go to `output`, which the caller keeps.
    package init(
        _ words: [String], environment: [String: String] = [:], output: Int32
    ) throws(SpawnError) {
        guard let program = words.first, !words.contains(where: { $0.utf8.contains(0) }) else {
            throw SpawnError(program: words.first ?? "", code: EINVAL)
        }
        let variables = Self.environment(with: environment)
        let (code, pid) = Self.spawn(program, words, variables, output)
        guard code == 0 else { throw SpawnError(program: program, code: code) }
        self.pid = pid
    }

    deinit { end(withinMilliseconds: 0) }

    package var isRunning: Bool { exitStatus == nil }

    /// The exit status if it has ended.
    package var exitStatus: Int32? {
        collected.withLock { status in
            if status == nil { status = reap() }
            return status
        }
    }

    /// The exit status, or nil if it runs on after that time.
    package func waitForExit(withinMilliseconds limit: Int) -> Int32? {
        let deadline = MonotonicClock.milliseconds() + limit
        while true {
            if let status = exitStatus { return status }
            guard MonotonicClock.milliseconds() < deadline else { return nil }
            poll(nil, 0, Self.pollMilliseconds)
        }
    }

    /// Asks it to end, and after that time does not ask any more. What it started and left behind
    /// in its group ends with it.
    @discardableResult
    package func end(withinMilliseconds limit: Int) -> Int32? {
        if limit > 0 {
            signal(SIGTERM, toGroup: false)
            let deadline = MonotonicClock.milliseconds() + limit
            while isUnreaped, !hasEnded, MonotonicClock.milliseconds() < deadline {
                poll(nil, 0, Self.pollMilliseconds)
            }
        }
        // Its number names the group until its status is collected.
        signal(SIGKILL, toGroup: true)
        return waitForExit(withinMilliseconds: Self.killMilliseconds)
    }

    private func signal(_ number: Int32, toGroup: Bool) {
        collected.withLock { status in
            guard status == nil else { return }
            kill(toGroup ? -pid : pid, number)
        }
    }

    private var isUnreaped: Bool { collected.withLock { $0 == nil } }

    /// Whether it has ended, without collecting its status.
    private var hasEnded: Bool {
        collected.withLock { status in
            guard status == nil else { return true }
            var found = siginfo_t()
            let result = waitid(P_PID, id_t(pid), &found, WEXITED | WNOWAIT | WNOHANG)
            return result == 0 && found.si_signo == SIGCHLD
        }
    }

    private func reap() -> Int32? {
        var word: Int32 = 0
        var result: Int32 = 0
        repeat { result = waitpid(pid, &word, WNOHANG) } while result < 0 && errno == EINTR
        guard result != 0 else { return nil }
        // Somebody else collected it: it is gone all the same.
        guard result == pid else { return -1 }
        return word & 0x7F == 0 ? word >> 8 & 0xFF : -(word & 0x7F)
    }
}

/// A program could not be started.
package struct SpawnError: Error, Equatable, CustomStringConvertible {
    package var program: String
    /// errno.
    package var code: Int32

    package var description: String {
        "cannot start \(program): \(String(cString: strerror(code)))"
    }
}

/// Time that only moves forward.
enum MonotonicClock {
    static func milliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }
}

extension SpawnedProcess {
    private static func environment(with own: [String: String]) -> [String] {
        ProcessInfo.processInfo.environment.merging(own) { $1 }.map { "\($0)=\($1)" }
    }

    private static func spawn(
        _ program: String, _ words: [String], _ environment: [String], _ output: Int32
    ) -> (code: Int32, pid: Int32) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        // Those that are gone by then do no harm.
        for descriptor in openDescriptors() where descriptor > 2 {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // It hears every signal, whatever the threads here have blocked or ignore.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var pid: pid_t = 0
        let code = withCStrings(words) { words in
            withCStrings(environment) { variables in
                posix_spawnp(&pid, program, &actions, &attributes, words, variables)
            }
        }
        return (code, pid)
    }

    private static func openDescriptors() -> [Int32] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        return (names ?? []).compactMap { Int32($0) }
    }

    private static func withCStrings<R>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        let count = strings.count
        let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(
            capacity: count + 1)
        for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
        pointers[count] = nil
        defer {
            for index in 0..<count { free(pointers[index]) }
            pointers.deallocate()
        }
        return body(pointers)
    }
}
