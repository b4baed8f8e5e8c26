import Base
import Broker
import Policy

/// Everything that the loops count, in Prometheus' text format.
enum MetricsEndpoint {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    static func metrics(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        var figures: [WorkerFigures] = []
        var silent = 0
        for (_, answer) in await request.client.askAll(.figures, within: AdminLimits.healthTime) {
            if case .figures(let told) = answer { figures.append(told) } else { silent += 1 }
        }
        var page = MetricsPage()
        page.add(request.admin, silent: silent)
        page.add(figures)
        return .text(page.text, contentType: contentType)
    }
}

/// The page of metrics being written.
struct MetricsPage {
    private(set) var text = ""

    private mutating func head(_ name: String, _ type: String, _ help: String) {
        let escaped = help.flatMap { character -> String in
            character == "\\" ? "\\\\" : character == "\n" ? "\\n" : String(character)
        }
        text += "# HELP apus_\(name) \(String(escaped))\n# TYPE apus_\(name) \(type)\n"
    }

    private mutating func line(
        _ name: String, _ labels: [(name: String, value: String)] = [], _ value: String
    ) {
        text += "apus_\(name)"
        if !labels.isEmpty {
            let shown = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
            text += "{" + shown.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    private static func escaped(_ value: String) -> String {
        var escaped = ""
        for character in value {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            case _: escaped.append(character)
            }
        }
        return escaped
    }

    // MARK: The process

    mutating func add(_ admin: AdminState, silent: Int) {
        head("build_info", "gauge", "Always 1; the labels say what runs.")
        line("build_info", [("version", admin.version)], "1")
        head("start_time_seconds", "gauge", "When the process began, in seconds since 1970.")
        line("start_time_seconds", [], Self.seconds(milliseconds: admin.startedAtMilliseconds))
        if let memory = ProcessFacts.residentBytes {
            head("process_resident_memory_bytes", "gauge", "Memory of the process in RAM.")
            line("process_resident_memory_bytes", [], "\(memory)")
        }
        head("loops_silent", "gauge", "Loops that did not answer the question for these metrics.")
        line("loops_silent", [], "\(silent)")
        head("http_requests_total", "counter", "Requests to this port.")
        line("http_requests_total", [], "\(admin.requestCount)")
        head("http_requests_open", "gauge", "Requests being carried out.")
        line("http_requests_open", [], "\(admin.openCount)")
    }

    private static func seconds(milliseconds: UInt64) -> String {
        let rest = String(milliseconds % 1_000)
        return "\(milliseconds / 1_000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }

    // MARK: The loops

    mutating func add(_ figures: [WorkerFigures]) {
        for row in FigureTable.rows {
            switch row.kind {
            case .counter:
                head("\(row.name)_total", "counter", row.help)
                line("\(row.name)_total", [], "\(Self.sum(row.figure, figures))")
            case .gauge:
                head(row.name, "gauge", row.help)
                line(row.name, [], "\(Self.sum(row.figure, figures))")
            case .common:
                head(row.name, "gauge", row.help)
                line(row.name, [], "\(figures.map { $0[row.figure] }.max() ?? 0)")
            case .loopTime:
                head(row.name, "gauge", row.help)
                for told in figures {
                    let value = Double(told[row.figure]) / 1e9
                    line(row.name, [("loop", "\(told.worker.rawValue)")], "\(value)")
                }
            case .memory: break
            }
        }
        addMemory(figures)
        addTenants(Self.merged(figures))
    }

    /// One metric, a label for each owner.
    private mutating func addMemory(_ figures: [WorkerFigures]) {
        head("memory_bytes", "gauge", "Memory of all loops by what holds it.")
        for row in FigureTable.memoryRows {
            line("memory_bytes", [("owner", row.name)], "\(Self.sum(row.figure, figures))")
        }
    }

    private static func sum(_ figure: Figure, _ figures: [WorkerFigures]) -> UInt64 {
        figures.reduce(0) { $0 &+ $1[figure] }
    }

    /// Tenants of all loops by name. Connections are the node's in each: the largest number is the
    /// latest.
    private static func merged(_ figures: [WorkerFigures]) -> [WorkerFigures.Tenant] {
        var tenants: [String: WorkerFigures.Tenant] = [:]
        for tenant in figures.flatMap(\.tenants) {
            var known = tenants[tenant.name] ?? WorkerFigures.Tenant(name: tenant.name)
            known.connections = max(known.connections, tenant.connections)
            known.events.merge(tenant.events, uniquingKeysWith: &+)
            known.drops.merge(tenant.drops, uniquingKeysWith: &+)
            tenants[tenant.name] = known
        }
        return tenants.values.sorted { $0.name < $1.name }
    }

    private mutating func addTenants(_ tenants: [WorkerFigures.Tenant]) {
        head("tenant_connections", "gauge", "Connections by tenant; the rest under no name.")
        for tenant in tenants {
            line("tenant_connections", [("tenant", tenant.name)], "\(tenant.connections)")
        }
        head("events_total", "counter", "Events by tenant and kind.")
        for tenant in tenants {
            for kind in EventKind.allCases {
                guard let count = tenant.events[kind.rawValue] else { continue }
                line(
                    "events_total", [("tenant", tenant.name), ("event", kind.name)], "\(count)")
            }
        }
        head("messages_dropped_total", "counter", "Dropped messages by tenant and reason.")
        for tenant in tenants {
            for reason in DropReason.allCases {
                guard let count = tenant.drops[reason.rawValue] else { continue }
                line(
                    "messages_dropped_total",
                    [("tenant", tenant.name), ("reason", reason.name)], "\(count)")
            }
        }
    }
}

/// What the kernel says of this process.
enum ProcessFacts {
    /// Nil where the system does not tell.
    static var residentBytes: Int? {
        guard let text = try? FileBytes.read("/proc/self/statm") else { return nil }
        let fields = String(decoding: text, as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages * 4_096
    }
}
