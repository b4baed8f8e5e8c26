import Foundation

/// Counts the system calls of processes with `perf stat`, where the machine allows it.
///
/// Counting costs the broker time at each call, so it has a span of its own, apart from the one in
/// which CPU time is measured.
package enum SystemCallProbe {
    package enum Outcome: Sendable, Equatable {
        case perSecond(Double)
        case unavailable(String)
    }

    /// Counts for one second.
    package static func count(_ pids: [Int32]) -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p",
            pids.map(String.init).joined(separator: ","), "sleep", "1",
        ]
        let output = Pipe()
        process.standardError = output
        process.standardOutput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return .unavailable("perf cannot be started") }
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return parse(String(decoding: bytes, as: UTF8.self))
    }

    /// A line such as `120,,raw_syscalls:sys_enter,...`, or what perf has against it.
    package static func parse(_ text: String) -> Outcome {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            if fields.count > 2, fields[2].contains("sys_enter"), let count = Double(fields[0]) {
                return .perSecond(count)
            }
        }
        let reason = text.split(separator: "\n").first { !$0.isEmpty } ?? "perf says nothing"
        return .unavailable(String(reason))
    }
}
