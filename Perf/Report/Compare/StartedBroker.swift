import Foundation
import Glibc

/// A broker of a comparison that is running: its address, its process, its directory.
///
/// It was started on a port that the kernel chose, in a directory of its own, and accepts
/// connections. `end` stops it and removes the directory, once; so does letting go of it.
package final class StartedBroker: Sendable {
    package let spec: BrokerSpec
    package let host = "127.0.0.1"
    package let port: UInt16
    package let directory: String
    package let facts: BrokerFacts
    private let process: SpawnedProcess

    package var pid: Int32 { process.pid }
    package var isRunning: Bool { process.isRunning }

    /// Another program may take a port between its choice and its use.
    private static let attempts = 3
    private static let logBytesShown = 2_000

    private init(spec: BrokerSpec, port: UInt16, directory: String, process: SpawnedProcess) {
        self.spec = spec
        self.port = port
        self.directory = directory
        self.process = process
        var facts = BrokerFacts()
        facts.name = spec.name
        facts.pid = process.pid
        facts.address = "127.0.0.1:\(port)"
        facts.loops = spec.loops
        facts.poller = spec.poller
        facts.version = spec.version.isEmpty ? nil : CommandOutput.firstLine(of: spec.version)
        // As it stands in the file: ports and directories differ from run to run.
        let files = spec.files.sorted { $0.key < $1.key }.map { "# \($0.key)\n\($0.value)" }
        facts.configuration = ([spec.start.joined(separator: " ")] + files).joined(separator: "\n")
        self.facts = facts
    }

    deinit { end() }

    /// Starts it and waits until its port accepts. `isCancelled` is asked meanwhile.
    package static func start(
        _ spec: BrokerSpec, in parent: String, isCancelled: () -> Bool = { false }
    ) throws(ComparisonError) -> StartedBroker {
        var failure = ComparisonError(subject: spec.name, reason: "cannot be started")
        for _ in 0..<attempts {
            let directory = try makeDirectory(in: parent, for: spec)
            do {
                return try attempt(spec, directory, isCancelled)
            } catch {
                failure = error
                try? FileManager.default.removeItem(atPath: directory)
                guard !isCancelled(), error.reason.hasPrefix(endedEarly) else { throw failure }
            }
        }
        throw failure
    }

    /// Ends it, and removes its directory. Only the first call does something.
    package func end() {
        process.end(withinMilliseconds: Int(spec.endSeconds * 1_000))
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// The end of what it printed.
    package var log: String { Self.log(in: directory) }

    private static let endedEarly = "ended before it was ready"

    private static func attempt(
        _ spec: BrokerSpec, _ directory: String, _ isCancelled: () -> Bool
    ) throws(ComparisonError) -> StartedBroker {
        guard let port = LoopbackPort.free() else {
            throw ComparisonError(subject: spec.name, reason: "no free port on 127.0.0.1")
        }
        let values = ["port": String(port), "data": directory, "name": spec.name]
        try write(spec, values, into: directory)
        let output = open("\(directory)/\(logName)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw cannotWrite(spec, directory) }
        defer { close(output) }
        let process: SpawnedProcess
        do {
            process = try SpawnedProcess(
                spec.start.map { Placeholder.replace($0, values) },
                environment: spec.environment.mapValues { Placeholder.replace($0, values) },
                output: output)
        } catch {
            throw ComparisonError(subject: spec.name, reason: "\(error)")
        }
        try awaitReady(spec, process, port, directory, isCancelled)
        return StartedBroker(spec: spec, port: port, directory: directory, process: process)
    }

    private static func awaitReady(
        _ spec: BrokerSpec, _ process: SpawnedProcess, _ port: UInt16, _ directory: String,
        _ isCancelled: () -> Bool
    ) throws(ComparisonError) {
        let deadline = MonotonicClock.milliseconds() + Int(spec.readySeconds * 1_000)
        while true {
            let accepts = LoopbackPort.accepts(port)
            if let status = process.exitStatus {
                throw ComparisonError(
                    subject: spec.name,
                    reason: "\(endedEarly) (status \(status))\(said(in: directory))")
            }
            if accepts { return }
            guard !isCancelled() else {
                throw ComparisonError(subject: spec.name, reason: "the comparison was ended")
            }
            guard MonotonicClock.milliseconds() < deadline else {
                throw ComparisonError(
                    subject: spec.name,
                    reason: "was not ready within \(FigureText.number(spec.readySeconds)) seconds"
                        + said(in: directory))
            }
            poll(nil, 0, 10)
        }
    }

    private static let logName = "output.log"

    private static func makeDirectory(
        in parent: String, for spec: BrokerSpec
    ) throws(ComparisonError) -> String {
        let folder = parent.hasSuffix("/") ? String(parent.dropLast()) : parent
        var template = Array("\(folder)/apus-compare-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw cannotWrite(spec, parent) }
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static func write(
        _ spec: BrokerSpec, _ values: [String: String], into directory: String
    ) throws(ComparisonError) {
        for (name, text) in spec.files {
            do {
                try Data(Placeholder.replace(text, values).utf8)
                    .write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
            } catch {
                throw cannotWrite(spec, directory)
            }
        }
    }

    private static func cannotWrite(_ spec: BrokerSpec, _ directory: String) -> ComparisonError {
        ComparisonError(subject: spec.name, reason: "cannot write into \(directory)")
    }

    private static func log(in directory: String) -> String {
        guard let file = FileHandle(forReadingAtPath: "\(directory)/\(logName)") else { return "" }
        let size = (try? file.seekToEnd()) ?? 0
        try? file.seek(toOffset: size > UInt64(logBytesShown) ? size - UInt64(logBytesShown) : 0)
        let bytes = (try? file.readToEnd()) ?? nil
        return String(decoding: bytes ?? Data(), as: UTF8.self)
    }

    private static func said(in directory: String) -> String {
        let text = log(in: directory).trimmingCharacters(in: .whitespacesAndNewlines)
        return text.isEmpty ? "" : "; it said:\n\(text)"
    }
}

/// Ports of 127.0.0.1.
enum LoopbackPort {
    /// One that nobody listens on, chosen by the kernel.
    static func free() -> UInt16? {
        let descriptor = stream()
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var address = address(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1
            }
        }
        return code == 0 ? UInt16(bigEndian: address.sin_port) : nil
    }

    /// Whether somebody does.
    static func accepts(_ port: UInt16) -> Bool {
        let descriptor = stream()
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = address(port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func stream() -> Int32 {
        socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    }

    private static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
