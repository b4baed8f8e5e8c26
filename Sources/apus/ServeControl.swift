import Base
import Broker
import EventLoops
import Foundation
import Policy

/// Listens to the operator while a node serves: signals, and systemd's watchdog.
///
/// Runs on a thread of its own, which is the only one that touches it after `start`, and ends with
/// the process.
final class ServeControl: @unchecked Sendable {
    /// How long loops may take to end after they were told to stop.
    private static let stopTime = Duration.seconds(10)

    private let node: NodeHandle
    private let access: AccessControl
    private let admin: AdminPorts
    private let certificates: CertificateStore
    private let log: ProcessLog
    private let systemd: SystemdLink
    private let sinks: [any EventSink]
    private let readAgain: @Sendable () -> ConfigurationDecoder.Outcome
    /// What is in force: options that need a restart keep their values.
    private var configuration: Configuration
    /// Turns of the loops when the watchdog last looked.
    private var turns: [UInt64] = []
    /// When certificates were last looked at.
    private var certificatesSeen = Instant(nanoseconds: 0)

    init(
        _ configuration: Configuration, _ node: NodeHandle, _ access: AccessControl,
        _ admin: AdminPorts, _ certificates: CertificateStore, _ log: ProcessLog,
        _ systemd: SystemdLink,
        _ sinks: [any EventSink],
        _ readAgain: @escaping @Sendable () -> ConfigurationDecoder.Outcome
    ) {
        self.configuration = configuration
        self.node = node
        self.access = access
        self.admin = admin
        self.certificates = certificates
        self.log = log
        self.systemd = systemd
        self.sinks = sinks
        self.readAgain = readAgain
    }

    func start() {
        let thread = Thread { self.run() }
        thread.name = "control"
        thread.start()
    }

    private func run() {
        // Three looks in the time that systemd grants: one may be late.
        let interval = systemd.watchdogTime.map { $0 / 3 } ?? .seconds(3_600)
        reportCertificates()
        while true {
            switch ProcessSignal.next(within: interval) {
            case nil: watch()
            case .reload: reload()
            case .terminate: return drain()
            }
        }
    }

    /// Says that the node is alive if every loop has taken a turn since it was last asked to.
    private func watch() {
        let now = node.turns
        let areAlive = turns.isEmpty || zip(now, turns).allSatisfy { $0 != $1 }
        turns = now
        node.wake()
        if areAlive { systemd.alive() }
        if Clocks.boot - certificatesSeen >= .seconds(86_400) { reportCertificates() }
    }

    private func drain() {
        let span = configuration.shutdown.drainTimeout
        log.write(
            .notice,
            "stopping: clients are told to leave, for at most \(span); "
                + "another signal stops at once")
        systemd.stopping()
        node.drain()
        let start = Clocks.boot
        while Clocks.boot < start + span {
            if ProcessSignal.next(within: start + span - Clocks.boot) == .terminate { break }
        }
        log.write(.warning, "clients that have not left are cut off")
        node.stop()
        _ = ProcessSignal.next(within: Self.stopTime)
        log.write(.error, "the loops have not ended")
        log.flush()
        _exit(ServeExit.stuck.rawValue)
    }

    // MARK: Reload

    private func reload() {
        systemd.reloading()
        defer { systemd.ready() }
        let outcome = readAgain()
        for warning in outcome.warnings { log.write(.warning, "\(warning)") }
        for error in outcome.errors { log.write(.error, "\(error)") }
        if let error = outcome.errors.first {
            return report(.reloadFailed(subject: "configuration", reason: "\(error)"))
        }
        let fresh = outcome.configuration
        do throws(TLSError) {
            try certificates.reload(fresh.listeners)
            for warning in certificates.warnings { log.write(.warning, warning) }
            report(.reloaded(subject: "certificates"))
            reportCertificates()
        } catch {
            report(.reloadFailed(subject: "certificates", reason: "\(error)"))
        }
        do throws(PolicyFileError) {
            try access.reload(fresh)
            // Loops that sleep would judge their sessions by the old rules until they wake.
            node.wake()
            report(.reloaded(subject: "users, rules and tenants"))
        } catch {
            report(.reloadFailed(subject: "users, rules and tenants", reason: "\(error)"))
        }
        do throws(PolicyFileError) {
            try admin.reload(fresh)
            report(.reloaded(subject: "API keys"))
        } catch {
            report(.reloadFailed(subject: "API keys", reason: "\(error)"))
        }
        log.set(fresh.log.level)
        node.setSysTopics(interval: fresh.sysTopicsInterval)
        sayWhatWaits(fresh)
        configuration.shutdown = fresh.shutdown
        node.limits.replace(with: NodeLimits(fresh, memory: ProcessMemory.available))
    }

    /// Names what was changed and takes hold at the next start only.
    private func sayWhatWaits(_ fresh: Configuration) {
        var names = OptionTable.rows.filter {
            $0.change == .restart && $0.read(fresh) != $0.read(configuration)
        }.map(\.name)
        if fresh.listeners.map(\.name) != configuration.listeners.map(\.name) {
            names.append("listeners")
        }
        for listener in fresh.listeners {
            guard let old = configuration.listeners.first(where: { $0.name == listener.name })
            else { continue }
            names += OptionTable.listenerRows.filter {
                $0.change == .restart && $0.read(listener) != $0.read(old)
            }.map { "listeners.\(listener.name).\($0.name)" }
        }
        guard !names.isEmpty else { return }
        log.write(.notice, "waiting for a restart: " + names.joined(separator: ", "))
    }

    /// Once a day, at the start and after a reload.
    private func reportCertificates() {
        certificatesSeen = Clocks.boot
        for event in certificates.expiring(Clocks.wall) { report(event) }
    }

    private func report(_ event: NodeEvent) {
        let record = EventRecord(
            milliseconds: Clocks.wall.milliseconds, tenant: "", subject: nil, event: .node(event))
        for sink in sinks where sink.wanted.contains(record.event.kind) {
            sink.receive([record])
        }
    }
}
