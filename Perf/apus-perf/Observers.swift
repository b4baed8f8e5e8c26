import ArgumentParser
import Foundation
import MQTT
import PerfLoad
import PerfReport

/// Tells a terminal and a file of a run.
final class Observers: RunObserver {
    private let terminal: TerminalLines?
    private let file: FileHandle?
    private let name: String?

    init(_ arguments: RunArguments) throws {
        terminal = arguments.quiet ? nil : TerminalLines()
        name = arguments.name
        file = try arguments.json.map { path in
            if !FileManager.default.fileExists(atPath: path) {
                _ = FileManager.default.createFile(atPath: path, contents: nil)
            }
            guard let file = FileHandle(forWritingAtPath: path) else {
                throw ValidationError("--json: \(path) cannot be written")
            }
            try file.seekToEnd()
            return file
        }
    }

    func began(_ phase: String) { terminal?.phase(phase) }

    func head(_ head: RunHead) {
        var head = head
        if let name { head.name = name }
        head.options = Array(CommandLine.arguments.dropFirst())
        head.commit = SourceCommit.ofThisProgram()
        if let pid = head.broker.pid { head.broker.describe(process: pid) }
        head.startedAt = ISO8601DateFormatter().string(from: Date())
        write(.head(head))
    }

    func sample(_ sample: RunSample) {
        terminal?.sample(sample)
        write(.sample(sample))
    }

    func fault(_ fault: RunFault) {
        terminal?.phase(fault.text)
        write(.fault(fault))
    }

    func end(_ end: RunEnd, _ outcome: LoadOutcome) {
        terminal?.end(end, outcome)
        write(.end(end))
    }

    /// The end of a run that has no outcome of its own.
    func write(_ end: RunEnd) { write(.end(end)) }

    private func write(_ line: RunLine) {
        guard let file, let text = try? line.text() else { return }
        try? file.write(contentsOf: Data(text.utf8))
    }

    /// Exit status 1 if something was wrong that must not be; loss, only where it was promised
    /// that there is none.
    func finish(_ end: RunEnd, _ options: LoadOptions) throws {
        let isPromised = min(options.qos, options.subscribeQoS ?? options.qos) > .atMostOnce
        let isWrong =
            end.duplicates > 0 || (end.misrouted ?? 0) > 0 || (end.corrupt ?? 0) > 0
            || end.orderViolations > 0 || isPromised && end.lost > 0
        if isWrong { throw ExitCode(1) }
    }
}

/// The run as lines for a person: one each second, and a table at the end.
struct TerminalLines {
    func phase(_ text: String) { line("-- " + text) }

    func sample(_ sample: RunSample) {
        var text = Self.number(sample.atSeconds, 0, 5) + "s"
        text += "  sent " + Self.number(Double(sample.sent), 0, 9)
        text += "  received " + Self.number(sample.receivedPerSecond, 0, 9) + "/s"
        if let latency = sample.latency {
            text += "  p50 " + Self.time(latency.p50) + "  p99 " + Self.time(latency.p99)
        }
        if let cores = sample.brokerCPUCores {
            text += "  broker " + Self.number(cores * 100, 0, 4) + " %"
        }
        if let cores = sample.generatorCPUCores {
            text += "  we " + Self.number(cores * 100, 0, 4) + " %"
        }
        line(text)
    }

    func end(_ end: RunEnd, _ outcome: LoadOutcome) {
        line("")
        if end.sent > 0 || end.received > 0 { messages(end) }
        if let rate = end.connectsPerSecond {
            line(
                "connections   \(end.connections ?? 0) open, opened at "
                    + Self.number(rate, 0, 0) + "/s")
        }
        if let latency = end.latency { line("latency       " + Self.curve(latency)) }
        if outcome.acknowledgement.count > 0 {
            line("acknowledged  " + Self.curve(outcome.acknowledgement.curve))
        }
        if let delay = end.sendDelay {
            line(
                "send delay    p50 " + Self.time(delay.p50) + "  p99 " + Self.time(delay.p99)
                    + "  max " + Self.time(delay.max) + "  (our own, part of latency)")
        }
        for (name, times) in [
            ("opened", outcome.opening), ("CONNACK", outcome.connack),
            ("SUBACK", outcome.suback),
        ] where times.count > 0 {
            line(
                name.padding(toLength: 14, withPad: " ", startingAt: 0)
                    + Self.curve(times.curve) + "  of \(times.count)")
        }
        if let cpu = end.cpuPerMessage {
            let kernel =
                cpu.system > 0 ? " (" + Self.number(cpu.system, 3, 0) + " in the kernel)" : ""
            let unit = end.received > 0 || end.sent > 0 ? "a message" : "a connection"
            line(
                "broker        " + Self.number(cpu.whole, 3, 0) + " us CPU " + unit + kernel
                    + ", " + Self.number((end.brokerCPUCores ?? 0) * 100, 0, 0) + " % of a core")
        }
        if let calls = end.syscallsPerMessage {
            line("system calls  " + Self.number(calls, 3, 0) + " a message")
        } else if let reason = end.syscallsUnavailable {
            line("system calls  not available: \(reason)")
        }
        memory(end)
        for owner in end.bytesByOwner ?? [] { line(Self.owner(owner, end.connections ?? 0)) }
        for warning in end.warnings ?? [] { line("warning: \(warning)") }
    }

    private func messages(_ end: RunEnd) {
        line(
            "received      \(end.received) of \(end.expected), \(end.lost) lost, "
                + "\(end.duplicates) twice, \(end.orderViolations) out of order, "
                + "\(end.misrouted ?? 0) misrouted, \(end.corrupt ?? 0) corrupt")
        line(
            "rate          " + Self.number(end.receivedPerSecond, 0, 0) + "/s received, "
                + "\(end.sent) sent")
    }

    private static func owner(_ owner: OwnerBytes, _ connections: Int) -> String {
        var text = "  " + owner.owner.padding(toLength: 34, withPad: " ", startingAt: 0)
        text += number(Double(owner.bytes) / 1024, 0, 10) + " KiB more"
        if connections > 0 {
            text += ", " + number(Double(owner.bytes) / Double(connections), 0, 0) + " each"
        }
        return text
    }

    private func memory(_ end: RunEnd) {
        guard let after = end.memoryAfterBytes else { return }
        var text = "memory        " + Self.number(Double(after) / 1_048_576, 1, 0) + " MiB"
        if let before = end.memoryBeforeBytes {
            text += ", " + Self.number(Double(after - before) / 1_048_576, 1, 0) + " MiB more"
        }
        if let each = end.bytesPerConnection {
            text += ", " + Self.number(each, 0, 0) + " bytes a connection"
        }
        line(text)
    }

    private static func curve(_ curve: LatencyCurve) -> String {
        let places = [50.0, 90, 99, 99.9].map {
            "p" + number($0, $0 == 99.9 ? 1 : 0, 0) + " " + time(curve.value(at: $0) ?? 0)
        }
        return (places + ["max " + time(curve.max)]).joined(separator: "  ")
    }

    private static func time(_ micros: Double) -> String {
        micros < 10_000 ? number(micros, 0, 0) + " us" : number(micros / 1000, 1, 0) + " ms"
    }

    private static func number(_ value: Double, _ places: Int, _ width: Int) -> String {
        let text = String(format: "%.\(places)f", value)
        return String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private func line(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }
}
