/// The options as text: what is in force, and the reference page.
package enum ConfigurationPages {
    /// What `--print-config` shows: YAML that can be used as a file, with the origin of each value.
    package static func render(_ outcome: ConfigurationDecoder.Outcome) -> String {
        let configuration = outcome.configuration
        var lines: [String] = []
        var group = ""
        for row in OptionTable.rows {
            let parts = row.name.split(separator: ".").map(String.init)
            if parts.count == 2, parts[0] != group { lines.append("\(parts[0]):") }
            group = parts.count == 2 ? parts[0] : ""
            let indent = parts.count == 2 ? "  " : ""
            lines.append(
                line(
                    indent + (parts.last ?? ""), row.read(configuration),
                    outcome.origins[row.name]))
        }
        lines.append("listeners:")
        for listener in configuration.listeners {
            lines.append("  \(listener.name):")
            for row in OptionTable.listenerRows {
                let origin = outcome.origins["listeners.\(listener.name).\(row.name)"]
                lines.append(line("    " + row.name, row.read(listener), origin))
            }
        }
        lines += settings("tenantDefaults", configuration.tenancy.defaults, "", outcome.origins)
        if !configuration.tenancy.tenants.isEmpty { lines.append("tenants:") }
        for (name, overrides) in configuration.tenancy.tenants.sorted(by: { $0.key < $1.key }) {
            lines += settings(name.text, overrides, "tenants.", outcome.origins)
        }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func line(_ name: String, _ value: OptionLeaf, _ mark: OptionMark?) -> String {
        let start = "\(name): \(value.text)"
        let padding = String(repeating: " ", count: max(1, 44 - start.utf8.count))
        return start + padding + "# " + (mark ?? .builtIn).text
    }

    private static func settings(
        _ name: String, _ overrides: TenantOverrides, _ prefix: String,
        _ origins: [String: OptionMark]
    ) -> [String] {
        if overrides.isEmpty { return [] }
        let indent = prefix.isEmpty ? "" : "  "
        return ["\(indent)\(name):"]
            + overrides.listing.map { row, value in
                line(
                    indent + "  " + row.name, .scalar(row.text(value)),
                    origins["\(prefix)\(name).\(row.name)"])
            }
    }

    /// Options whose values differ between two configurations, by when they take hold.
    package static func changes(
        from old: Configuration, to new: Configuration
    ) -> [(name: String, change: OptionChange)] {
        var found = OptionTable.rows.filter { $0.read(old) != $0.read(new) }
            .map { (name: $0.name, change: $0.change) }
        let names = Set(old.listeners.map(\.name)).union(new.listeners.map(\.name))
        for name in names.sorted() {
            guard let before = old.listeners.first(where: { $0.name == name }),
                let after = new.listeners.first(where: { $0.name == name })
            else {
                found.append((name: "listeners.\(name)", change: .restart))
                continue
            }
            found += OptionTable.listenerRows.filter { $0.read(before) != $0.read(after) }
                .map { (name: "listeners.\(name).\($0.name)", change: $0.change) }
        }
        if old.tenancy.defaults != new.tenancy.defaults {
            found.append((name: "tenantDefaults", change: .reload))
        }
        if old.tenancy.tenants != new.tenancy.tenants {
            found.append((name: "tenants", change: .reload))
        }
        return found
    }

    /// The reference page, in Markdown; a test compares it with the file in Docs.
    package static var reference: String {
        let standard = Configuration()
        let listener = ListenerConfiguration(name: "tcp", kind: .tcp)
        return """
            # Configuration

            Generated from the tables of options and settings; do not edit. One YAML file, given
            with `--config`; `apus check` reads it and says what is wrong, with line and suggestion.

            Environment variables override the file: `APUS_` and the name, with `__` for each step
            down (`APUS_LISTENERS__TCP=127.0.0.1:1883`, `APUS_DATA_DIRECTORY=/var/lib/apus`).
            `--set NAME=VALUE` overrides both. Sizes take `KiB`, `MiB`, `GiB`, `KB`, `MB`, `GB`;
            times take `ms`, `s`, `m`, `h`, `d`. "reload" options change with SIGHUP, the others
            with a restart.

            ## Options

            \(table(OptionTable.rows, standard))
            ## Listeners

            Under `listeners.NAME`. An address alone is enough where the name says the kind:
            `listeners: {tcp: "0.0.0.0:1883"}`; `off` switches one off. If none is named, `tcp`,
            `ws` and `http` are served on loopback.

            \(table(OptionTable.listenerRows, listener))
            ## Settings of tenants

            Under `tenantDefaults` for all tenants and under `tenants.NAME` for one. The API changes
            them while clients are connected.

            \(SettingTable.reference)
            """
    }

    private static func table<Root>(_ rows: [OptionRow<Root>], _ root: Root) -> String {
        var page = "| Option | Default | Valid | Changes with | Why |\n|---|---|---|---|---|\n"
        for row in rows {
            let value = row.read(root)
            let text = value == .scalar("") || value == .list([]) ? "" : "`\(value.text)`"
            page += "| `\(row.name)` | \(text) | \(row.valid) | \(row.change.rawValue) "
            page += "| \(row.reason) |\n"
        }
        return page
    }
}
