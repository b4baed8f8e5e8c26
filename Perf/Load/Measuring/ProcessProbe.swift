import Foundation
import Glibc

/// Reads what processes use: the broker's, given by number, and our own.
package struct ProcessProbe: Sendable {
    package let pids: [Int32]

    package init(_ pids: [Int32]) { self.pids = pids }

    package static let own = ProcessProbe([getpid()])

    package var isEmpty: Bool { pids.isEmpty }

    /// CPU time of all threads, in seconds, to the nanosecond; zero for processes that are gone.
    package var cpuSeconds: Double {
        pids.reduce(0) { sum, pid in
            var clock = clockid_t()
            var time = timespec()
            guard clock_getcpuclockid(pid, &clock) == 0, clock_gettime(clock, &time) == 0 else {
                return sum
            }
            return sum + Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
    }

    /// Clock ticks in user and in kernel mode: for the share of each, not for time.
    package var ticks: (user: Double, system: Double) {
        var user = 0.0
        var system = 0.0
        for pid in pids {
            guard let text = Self.read("/proc/\(pid)/stat"),
                // The name may hold anything, and ends at the last parenthesis.
                let end = text.lastIndex(of: ")")
            else { continue }
            let fields = text[end...].split(separator: " ")
            guard fields.count > 13 else { continue }
            user += Double(fields[12]) ?? 0
            system += Double(fields[13]) ?? 0
        }
        return (user, system)
    }

    /// Bytes resident, shared pages divided among those who share them; nil if none can be read.
    package var memoryBytes: Int? {
        var sum: Int?
        for pid in pids {
            guard let text = Self.read("/proc/\(pid)/smaps_rollup"),
                let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Pss:") }),
                let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
            else { continue }
            sum = (sum ?? 0) + kilobytes * 1024
        }
        return sum
    }

    /// Whether every process can be read.
    package var isReadable: Bool { pids.allSatisfy { Self.read("/proc/\($0)/stat") != nil } }

    private static func read(_ path: String) -> String? { ProcFile.text(path) }
}

/// CPU time of a process over a span.
package struct CPUSpan: Sendable {
    private let probe: ProcessProbe
    private let seconds: Double
    private let ticks: (user: Double, system: Double)

    package init(of probe: ProcessProbe) {
        self.probe = probe
        seconds = probe.cpuSeconds
        ticks = probe.ticks
    }

    /// Ticks below which the kernel's part is a guess.
    private static let ticksMin = 20.0

    /// Since the span began: in all, and the kernel's part of it; 0 if it is not known because the
    /// span was short (the kernel divides time by ticks of 10 ms).
    package func elapsed() -> (seconds: Double, systemShare: Double) {
        let now = probe.ticks
        let user = now.user - ticks.user
        let system = now.system - ticks.system
        return (
            probe.cpuSeconds - seconds,
            user + system >= Self.ticksMin ? system / (user + system) : 0
        )
    }
}
