/// Options from the environment and from the command line: each variable and each argument is a
/// source of its own, so that the later of two wins, and `listeners.tls=ADDRESS` goes together
/// with `listeners.tls.keys=PATH`.
package enum OptionSources {
    /// What begins every variable's name.
    package static let prefix = "APUS_"

    /// Reads `APUS_…` variables: `__` is a step down (`APUS_LISTENERS__TCP__ADDRESS`), case and
    /// single underscores do not count (`APUS_DATA_DIRECTORY`). What is no option is a warning,
    /// not an error: other programs put variables into the environment (Kubernetes does so for
    /// every service, `APUS_PORT` for one called apus).
    package static func environment(
        _ variables: [(name: String, value: String)]
    ) -> (options: [OptionValue], warnings: [OptionError]) {
        var options: [OptionValue] = []
        var warnings: [OptionError] = []
        for (name, value) in variables.sorted(by: { $0.name < $1.name })
        where name.hasPrefix(prefix) {
            let mark = OptionMark.environment(name: name)
            guard let path = path(of: String(name.dropFirst(prefix.count))) else {
                warnings.append(OptionError(mark, "is no option and is ignored"))
                continue
            }
            options.append(.map([nest(path[...], value, mark)], mark))
        }
        return (options, warnings)
    }

    /// Reads `key=value` of `--set`.
    package static func commandLine(
        _ arguments: [String]
    ) -> (options: [OptionValue], errors: [OptionError]) {
        var options: [OptionValue] = []
        var errors: [OptionError] = []
        for argument in arguments {
            let mark = OptionMark.commandLine(argument: argument)
            guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else {
                errors.append(OptionError(mark, "must be NAME=VALUE"))
                continue
            }
            let path = argument[..<equals].split(separator: ".", omittingEmptySubsequences: false)
            let value = String(argument[argument.index(after: equals)...])
            options.append(.map([nest(path.map(String.init)[...], value, mark)], mark))
        }
        return (options, errors)
    }

    private static func nest(
        _ path: ArraySlice<String>, _ value: String, _ mark: OptionMark
    ) -> OptionEntry {
        guard let name = path.first, path.count > 1 else {
            return OptionEntry(name: path.first ?? "", mark: mark, value: .scalar(value, mark))
        }
        return OptionEntry(
            name: name, mark: mark, value: .map([nest(path.dropFirst(), value, mark)], mark))
    }

    /// The path that a variable means, or nil.
    private static func path(of name: String) -> [String]? {
        let all = squash(name)
        if let row = OptionTable.rows.first(where: { squash($0.name) == all }) {
            return row.name.split(separator: ".").map(String.init)
        }
        if all == "fsync" { return ["fsync"] }
        let steps = steps(of: name)
        guard let first = steps.first.map(squash), steps.count >= 2 else { return nil }
        switch (first, steps.count) {
        case ("listeners", 2): return ["listeners", steps[1].lowercased()]
        case ("listeners", 3):
            let option = OptionTable.listenerRows.first { squash($0.name) == squash(steps[2]) }
            return option.map { ["listeners", steps[1].lowercased(), $0.name] }
        case ("tenantdefaults", 2):
            return setting(steps[1]).map { ["tenantDefaults", $0] }
        case ("tenants", 3):
            return setting(steps[2]).map { ["tenants", steps[1].lowercased(), $0] }
        default: return nil
        }
    }

    private static func setting(_ name: String) -> String? {
        SettingTable.rows.first { squash($0.name) == squash(name) }?.name
    }

    private static func squash(_ name: String) -> String {
        String(name.lowercased().filter { $0 != "_" && $0 != "." })
    }

    private static func steps(of name: String) -> [String] {
        var steps: [String] = [""]
        var rest = name[...]
        while !rest.isEmpty {
            if rest.hasPrefix("__") {
                steps.append("")
                rest = rest.dropFirst(2)
            } else {
                steps[steps.count - 1].append(rest.removeFirst())
            }
        }
        return steps
    }
}
