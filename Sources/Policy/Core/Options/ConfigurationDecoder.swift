import Base

/// Turns what all sources say into a configuration, or into a list of everything that is wrong.
///
/// Sources come in rising order: file, environment, command line. A later one replaces values of
/// an earlier one, name by name. If any source names a listener, only named ones are served.
package struct ConfigurationDecoder {
    /// A configuration with the origin of every value that someone set.
    package struct Outcome: Sendable {
        package var configuration = Configuration()
        /// By full path; what is missing is a default.
        package var origins: [String: OptionMark] = [:]
        package var warnings: [OptionError] = []
        package var errors: [OptionError] = []
    }

    private var outcome = Outcome()
    private var listeners: [ListenerDraft] = []

    /// A listener while its options come in; the kind may come last.
    private struct ListenerDraft {
        var name: String
        var mark: OptionMark
        var isOff = false
        var values: [(name: String, value: OptionLeaf, mark: OptionMark)] = []
    }

    package static func decode(_ sources: [OptionValue]) -> Outcome {
        var decoder = ConfigurationDecoder()
        for source in sources {
            for assignment in decoder.flatten(source, path: []) { decoder.assign(assignment) }
        }
        decoder.finishListeners()
        decoder.check()
        return decoder.outcome
    }

    private mutating func fail(_ mark: OptionMark, _ problem: String) {
        outcome.errors.append(OptionError(mark, problem))
    }

    private mutating func flatten(_ value: OptionValue, path: [String]) -> [OptionAssignment] {
        switch value {
        case .scalar(let text, let mark):
            return [OptionAssignment(path: path, value: .scalar(text), mark: mark)]
        case .list(let items, let mark):
            return [OptionAssignment(path: path, value: .list(items), mark: mark)]
        case .map(let entries, _):
            var seen: Set<String> = []
            return entries.flatMap { entry -> [OptionAssignment] in
                if !seen.insert(entry.name).inserted {
                    fail(
                        entry.mark, "'\((path + [entry.name]).joined(separator: "."))' stands twice"
                    )
                    return []
                }
                return flatten(entry.value, path: path + [entry.name])
            }
        }
    }

    private mutating func assign(_ assignment: OptionAssignment) {
        guard let first = assignment.path.first else {
            if assignment.value.items.isEmpty { return }
            return fail(assignment.mark, "the options must be names with values")
        }
        switch (first, assignment.path.count) {
        case ("listeners", 2...): assignListener(assignment)
        case ("tenants", 3...): assignTenant(assignment)
        case ("tenantDefaults", 2): assignTenantDefault(assignment)
        case ("fsync", 1): assignFsync(assignment)
        default: assignRow(assignment)
        }
    }

    /// `fsync: off` is said of all stores together.
    private mutating func assignFsync(_ assignment: OptionAssignment) {
        for row in OptionTable.rows where row.name.hasPrefix("fsync.") {
            var one = assignment
            one.path = row.name.split(separator: ".").map(String.init)
            assignRow(one)
        }
    }

    private mutating func assignRow(_ assignment: OptionAssignment) {
        let path = assignment.path.joined(separator: ".")
        guard let row = OptionTable.rows.first(where: { $0.name == path }) else {
            let isGroup = Self.groups.contains(path)
            return isGroup && assignment.value.items.isEmpty
                ? () : fail(assignment.mark, Self.unknown(path, among: Self.allNames))
        }
        if let problem = row.write(&outcome.configuration, assignment.value) {
            return fail(assignment.mark, "\(path): \(problem)")
        }
        outcome.origins[path] = assignment.mark
    }

    /// Names that have options below them; an empty group in a file is harmless.
    private static let groups: Set<String> = Set(
        OptionTable.rows.compactMap { $0.name.split(separator: ".").dropLast().first }
            .map(String.init) + ["listeners", "tenants", "tenantDefaults"])

    private static let allNames =
        OptionTable.rows.map(\.name) + ["listeners", "tenants", "tenantDefaults", "fsync"]

    private static func unknown(_ path: String, among names: [String]) -> String {
        let parts = path.split(separator: ".").map(String.init)
        let firsts = Set(names.compactMap { $0.split(separator: ".").first.map(String.init) })
        let near =
            EditDistance.closest(to: path, in: names)
            ?? names.first { $0.split(separator: ".").last.map(String.init) == parts.last }
            ?? parts.first.flatMap { EditDistance.closest(to: $0, in: firsts.sorted()) }
        return "there is no option '\(path)'" + (near.map { "; did you mean '\($0)'?" } ?? "")
    }
}

/// Tenants.
extension ConfigurationDecoder {
    private mutating func assignTenant(_ assignment: OptionAssignment) {
        let text = assignment.path[1..<(assignment.path.count - 1)].joined(separator: ".")
        guard let name = TenantName(text) else {
            return fail(
                assignment.mark,
                "'\(text)' is no tenant's name: 1 to 64 letters, digits, '-', '_' and '.'")
        }
        var overrides = outcome.configuration.tenancy.tenants[name] ?? TenantOverrides()
        if set(assignment, in: &overrides, path: "tenants.\(name)") {
            outcome.configuration.tenancy.tenants[name] = overrides
        }
    }

    private mutating func assignTenantDefault(_ assignment: OptionAssignment) {
        var overrides = outcome.configuration.tenancy.defaults
        if set(assignment, in: &overrides, path: "tenantDefaults") {
            outcome.configuration.tenancy.defaults = overrides
        }
    }

    private mutating func set(
        _ assignment: OptionAssignment, in overrides: inout TenantOverrides, path: String
    ) -> Bool {
        guard case .scalar(let text) = assignment.value, let name = assignment.path.last else {
            fail(assignment.mark, "\(path): a setting is not a list")
            return false
        }
        do throws(SettingError) {
            let row = try SettingTable.row(named: name)
            try overrides.set(row.name, to: text)
            outcome.origins["\(path).\(row.name)"] = assignment.mark
            return true
        } catch {
            fail(assignment.mark, "\(path): \(error)")
            return false
        }
    }
}

/// Listeners.
extension ConfigurationDecoder {
    private mutating func assignListener(_ assignment: OptionAssignment) {
        let name = assignment.path[1]
        let place: Int
        if let known = listeners.firstIndex(where: { $0.name == name }) {
            place = known
        } else {
            guard !name.isEmpty, name.utf8.count <= 64, name.utf8.allSatisfy(TenantName.isAllowed)
            else {
                return fail(assignment.mark, "'\(name)' is no name for a listener")
            }
            place = listeners.count
            listeners.append(ListenerDraft(name: name, mark: assignment.mark))
        }
        if assignment.path.count == 2 {
            if case .scalar(let text) = assignment.value, Units.flag(text) == false {
                listeners[place].isOff = true
            } else {
                listeners[place].isOff = false
                listeners[place].values.append(("address", assignment.value, assignment.mark))
            }
            return
        }
        let option = assignment.path[2...].joined(separator: ".")
        guard OptionTable.listenerRows.contains(where: { $0.name == option }) else {
            let names = OptionTable.listenerRows.map(\.name)
            return fail(
                assignment.mark, "listeners.\(name): " + Self.unknown(option, among: names))
        }
        listeners[place].isOff = false
        listeners[place].values.append((option, assignment.value, assignment.mark))
    }

    private mutating func finishListeners() {
        guard !listeners.isEmpty else {
            outcome.configuration.listeners = ListenerConfiguration.standard
            return
        }
        for draft in listeners where !draft.isOff { finish(draft) }
    }

    private mutating func finish(_ draft: ListenerDraft) {
        let said = draft.values.last { $0.name == "kind" }
        var kindName = draft.name
        if let said, case .scalar(let text) = said.value { kindName = text }
        guard let kind = ListenerConfiguration.Kind(rawValue: kindName) else {
            let names = ListenerConfiguration.Kind.allCases.map(\.rawValue)
            return fail(
                said?.mark ?? draft.mark,
                "listeners.\(draft.name): say its kind: one of " + names.joined(separator: ", "))
        }
        var listener = ListenerConfiguration(name: draft.name, kind: kind)
        for (name, value, mark) in draft.values {
            guard let row = OptionTable.listenerRows.first(where: { $0.name == name }) else {
                continue
            }
            if let problem = row.write(&listener, value) {
                fail(mark, "listeners.\(draft.name).\(name): \(problem)")
            }
            outcome.origins["listeners.\(draft.name).\(name)"] = mark
        }
        outcome.configuration.listeners.append(listener)
        outcome.origins["listeners.\(draft.name)"] = draft.mark
    }
}

/// What one option alone cannot tell.
extension ConfigurationDecoder {
    private mutating func check() {
        let configuration = outcome.configuration
        for listener in configuration.listeners { check(listener) }
        checkAddresses(configuration.listeners)
        let authentication = configuration.authentication
        if authentication.order.isEmpty {
            fail(origin("authentication.order"), "authentication.order: name at least one")
        }
        if authentication.order.contains(.password), authentication.passwordFile.isEmpty {
            fail(
                origin("authentication.order"),
                "authentication.passwordFile: is needed to check passwords")
        }
        if !authentication.passwordFile.isEmpty, !authentication.order.contains(.password) {
            fail(
                origin("authentication.passwordFile"),
                "authentication.order: add 'password', or the password file is never asked")
        }
        checkTenants(configuration.tenancy)
        checkKeys(configuration)
    }

    private func origin(_ path: String) -> OptionMark { outcome.origins[path] ?? .builtIn }

    private mutating func check(_ listener: ListenerConfiguration) {
        let path = "listeners.\(listener.name)"
        let mark = origin(path)
        if listener.kind.usesTLS {
            if listener.certificates.isEmpty {
                fail(mark, "\(path).certificates: is needed for TLS")
            }
            if listener.certificates.count != listener.keys.count {
                fail(mark, "\(path).keys: as many are needed as there are certificates")
            }
            if listener.clientCertificate != .none, listener.authorities.isEmpty {
                fail(mark, "\(path).authorities: is needed to check certificates of clients")
            }
        } else if !listener.certificates.isEmpty {
            fail(mark, "\(path).certificates: a listener of kind \(listener.kind) has no TLS")
        }
        if listener.proxyProtocol, listener.trustedNetworks.isEmpty {
            fail(mark, "\(path).trustedNetworks: say whom the PROXY protocol is believed")
        }
    }

    /// Whoever reaches the API may do anything: beyond this machine it asks for a key.
    private mutating func checkKeys(_ configuration: Configuration) {
        guard configuration.admin.apiKeyFile.isEmpty else { return }
        for listener in configuration.listeners
        where listener.kind == .http && !listener.address.isLocal {
            let path = "listeners.\(listener.name)"
            fail(
                origin(path),
                "\(path).address: beyond loopback admin.apiKeyFile is needed; "
                    + "make a key with 'apus apikey FILE NAME'")
        }
    }

    private mutating func checkAddresses(_ listeners: [ListenerConfiguration]) {
        var users: [String: String] = [:]
        for listener in listeners {
            if case .ip(_, port: 0) = listener.address { continue }
            // Gossip speaks UDP too, but its port is its own all the same.
            if let other = users.updateValue(listener.name, forKey: listener.address.description) {
                fail(
                    origin("listeners.\(listener.name).address"),
                    "listeners.\(listener.name).address: listener '\(other)' is there already")
            }
        }
    }

    private mutating func checkTenants(_ tenancy: Configuration.Tenancy) {
        let base = tenancy.defaults.applied(to: .standard)
        report(tenancy.defaults.check(), "tenantDefaults")
        for (name, overrides) in tenancy.tenants.sorted(by: { $0.key < $1.key }) {
            report(overrides.check(over: base), "tenants.\(name)")
        }
        if tenancy.tenants.count > TenantTable.maximumTenants {
            fail(.builtIn, "tenants: at most \(TenantTable.maximumTenants) can be configured")
        }
    }

    private mutating func report(_ found: (errors: [String], warnings: [String]), _ path: String) {
        let mark =
            outcome.origins.filter { $0.key.hasPrefix(path + ".") }
            .min { $0.key < $1.key }?.value ?? .builtIn
        for error in found.errors { fail(mark, "\(path): \(error)") }
        outcome.warnings += found.warnings.map { OptionError(mark, "\(path): \($0)") }
    }
}
