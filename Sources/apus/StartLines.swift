import Base
import Broker
import Policy

/// What the log says when a node begins to serve.
enum StartLines {
    static func write(
        _ log: ProcessLog, _ configuration: Configuration, _ report: NodeReport,
        _ certificateWarnings: [String], _ pollerReason: String?, _ descriptorLimit: UInt64
    ) {
        log.write(
            .notice,
            "apus \(report.version), node \(report.node), process \(report.pid): "
                + "\(report.loops) loops on \(report.poller), "
                + "\(descriptorLimit) files may be open")
        if let pollerReason { log.write(.notice, "poller: \(pollerReason)") }
        log.write(
            .notice,
            "sessions, subscriptions and retained messages live in memory and end with the "
                + "process: nothing is written to \(configuration.dataDirectory) yet")
        for (name, address) in report.listeners {
            let listener = configuration.listeners.first { $0.name == name }
            log.write(.notice, line(name, address, listener))
        }
        for listener in configuration.listeners
        where !listener.kind.isForClients && listener.kind != .http {
            log.write(
                .info,
                "listener \(listener.name): \(listener.kind) is not served by this version")
        }
        warn(log, configuration, certificateWarnings)
        let facts = HostReader.read(
            directory: configuration.dataDirectory, descriptorLimit: descriptorLimit)
        for finding in Preflight.findings(facts, configuration) {
            log.write(.warning, "preflight: \(finding)")
        }
    }

    private static func line(
        _ name: String, _ address: String, _ listener: ListenerConfiguration?
    ) -> String {
        var text = "listener \(name): "
        switch listener?.kind {
        case .tls: text += "MQTT over TLS on \(address)"
        case .ws: text += "MQTT over WebSocket on \(address)\(listener?.path ?? "")"
        case .wss: text += "MQTT over WebSocket and TLS on \(address)\(listener?.path ?? "")"
        case .http: text += "API, health and metrics on http://\(address)"
        case .tcp, .gossip, .links, nil: text += "MQTT on \(address)"
        }
        if listener?.proxyProtocol == true { text += ", behind a PROXY header" }
        if let tenant = listener?.tenant, !tenant.isEmpty { text += ", tenant \(tenant)" }
        return text
    }

    private static func warn(
        _ log: ProcessLog, _ configuration: Configuration, _ certificateWarnings: [String]
    ) {
        for warning in certificateWarnings { log.write(.warning, warning) }
        let authentication = configuration.authentication
        let open = configuration.listeners.filter {
            $0.kind.isForClients && !$0.address.isLocal
        }
        guard !open.isEmpty, authentication.order.contains(.anonymous) else { return }
        let names = open.map(\.name).joined(separator: ", ")
        switch authentication.anonymous {
        case .everywhere:
            log.write(
                .warning,
                "anyone who reaches listener \(names) may connect without a password "
                    + "(authentication.anonymous: everywhere)")
        case .loopback where authentication.order == [.anonymous]:
            log.write(
                .warning,
                "listener \(names) can be reached from elsewhere, but clients are served without a "
                    + "password on loopback alone: set authentication.passwordFile, or "
                    + "authentication.anonymous to everywhere")
        case .loopback: break
        }
    }
}
