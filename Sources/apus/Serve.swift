import Admin
import ArgumentParser
import Base
import Broker
import EventLoops
import Foundation
import Policy

/// How `apus serve` ends. The command line itself ends with 64 if it is wrong.
///
/// | code | meaning |
/// |---|---|
/// | 0 | ended on request, also if clients were cut off when the drain time ran out |
/// | 1 | the configuration, or a file that it names, is wrong |
/// | 2 | the machine refuses: an address in use, a poller, the data directory, the ready file |
/// | 3 | the loops did not end when they were told to: a fault of Apus |
///
/// An invariant that is broken ends the process by a signal, with the reason on standard error.
enum ServeExit {
    static let configuration = ExitCode(1)
    static let machine = ExitCode(2)
    static let stuck = ExitCode(3)
}

/// Puts the parts of a node together and runs it until it is told to stop.
enum Serve {
    /// `reload` reads all sources of options again, for SIGHUP.
    static func run(
        _ configuration: Configuration, readyFile: String?,
        reload: @escaping @Sendable () -> ConfigurationDecoder.Outcome
    ) throws {
        // Before the first thread: all inherit it.
        ProcessSignal.block()
        let log = ProcessLog(configuration.log)
        defer { log.flush() }
        let descriptorLimit = DescriptorLimit.raise()
        try attempt(log, ServeExit.machine) { () throws(FileError) in
            try DataDirectory.prepare(configuration.dataDirectory)
        }
        let access = try attempt(log, ServeExit.configuration) { () throws(PolicyFileError) in
            try AccessControl(configuration, wallTime: { Clocks.wall }) { SecureRandom.bytes($0) }
        }
        defer { access.stop() }
        let certificates = try attempt(log, ServeExit.configuration) { () throws(TLSError) in
            try CertificateStore(configuration.listeners)
        }
        let keys = try attempt(log, ServeExit.configuration) { () throws(PolicyFileError) in
            try APIKeyTable.read(configuration.admin.apiKeyFile)
        }
        var options = NodeOptions(
            configuration, access: access, certificates: certificates,
            random: SecureRandom.uint64())
        options.sinks = [eventLog(configuration.log, log)]
        options.sysTopics = sysTopics(configuration)
        guard !options.listeners.isEmpty else {
            log.write(.error, "no listener for clients is configured: there is nothing to serve")
            throw ServeExit.configuration
        }
        let node = try attempt(log, ServeExit.machine) { () throws(LoopError) in
            try Node(options)
        }
        let admin = try startAdmin(configuration, node, keys, log)
        defer { admin.stop() }
        let report = NodeReport(node, options, admin)
        StartLines.write(
            log, configuration, report, certificates.warnings, node.pollerReason, descriptorLimit)
        let systemd = SystemdLink(ProcessInfo.processInfo.environment, pid: report.pid)
        ServeControl(
            configuration, node.handle, access, admin, certificates, log, systemd, options.sinks,
            reload
        ).start()
        do {
            try attempt(log, ServeExit.machine) { () throws(FileError) in
                if let readyFile { try ReadyFile.write(readyFile, report) }
            }
        } catch {
            node.handle.stop()
            node.join()
            throw error
        }
        systemd.ready()
        node.join()
        log.write(.notice, "stopped")
    }

    /// A node whose port for HTTP cannot be opened does not serve.
    private static func startAdmin(
        _ configuration: Configuration, _ node: Node, _ keys: APIKeyTable, _ log: ProcessLog
    ) throws -> AdminPorts {
        do {
            return try attempt(log, ServeExit.machine) { () throws(AdminError) in
                try AdminPorts(configuration, door: node.door, keys: keys)
            }
        } catch {
            node.handle.stop()
            node.join()
            throw error
        }
    }

    private static func sysTopics(_ configuration: Configuration) -> SysTopicOptions {
        SysTopicOptions(
            interval: configuration.sysTopicsInterval,
            tenant: TenantName(configuration.sysTopicsTenant) ?? .standard,
            version: Release.version)
    }

    private static func attempt<R, Failure: Error>(
        _ log: ProcessLog, _ code: ExitCode, _ body: () throws(Failure) -> R
    ) throws -> R {
        do {
            return try body()
        } catch {
            log.write(.error, "\(error)")
            throw code
        }
    }

    private static func eventLog(
        _ options: Configuration.Log, _ log: ProcessLog
    ) -> LogEventSink {
        LogEventSink(
            atLeast: EventLevel(options.events), clock: { Clocks.boot },
            write: { log.write($0, $1) })
    }
}

/// The directory that everything will be kept in that outlives the process.
enum DataDirectory {
    /// Makes it if it is missing, readable by its owner alone, and makes sure that it can be
    /// written to.
    static func prepare(_ path: String) throws(FileError) {
        let parent = URL(fileURLWithPath: path).deletingLastPathComponent()
        do {
            try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        } catch {
            throw FileError(path: parent.path, problem: "cannot be made: \(error)")
        }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw FileError(
                path: path, problem: "cannot be made: \(String(cString: strerror(errno)))")
        }
        let probe = path + "/.writable"
        try FileBytes.replace(probe, with: [])
        unlink(probe)
    }
}

/// The clocks of the system, for the shell alone.
enum Clocks {
    static var boot: Instant {
        let now = read(CLOCK_BOOTTIME)
        return Instant(
            nanoseconds: UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec))
    }

    static var wall: WallTime {
        let now = read(CLOCK_REALTIME)
        return WallTime(
            milliseconds: UInt64(max(now.tv_sec, 0)) * 1_000 + UInt64(now.tv_nsec) / 1_000_000)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var now = timespec()
        clock_gettime(clock, &now)
        return now
    }
}
