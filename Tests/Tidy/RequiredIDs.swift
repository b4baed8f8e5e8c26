/// What must have a test, read from where it is declared.
enum RequiredIDs {
    /// The ids of the first column of the tables in Docs/REFUSALS.md: a letter and two digits.
    /// Rows that need a part which is not there yet bear its name instead of a test.
    static func refusals(in page: SourceFile) -> [String] {
        page.lines.compactMap { line in
            guard line.hasPrefix("| "), !line.contains("*cluster*"), !line.contains("*storage*")
            else { return nil }
            let id = line.dropFirst(2).prefix { $0 != " " }
            let isID =
                id.count == 3 && id.first?.isUppercase == true
                && id.dropFirst().allSatisfy(\.isNumber)
            return isID ? String(id) : nil
        }
    }

    /// The numbers of Tests/Conformance/attacks.
    static func attacks(in list: SourceFile) -> [String] {
        list.lines.compactMap { line in
            let number = line.prefix { $0 != " " }
            return number.count == 2 && number.allSatisfy(\.isNumber) ? String(number) : nil
        }
    }

    /// The names of the rows `SettingRow(1, "Name", …)`.
    static func settings(in repository: Repository) -> [String] {
        let files = repository.sources.filter {
            $0.module == "Policy" && $0.components.last?.hasPrefix("SettingRows") == true
        }
        return files.flatMap { file in
            let text = file.lines.joined(separator: "\n")
            return text.split(separator: "\n").joined().components(of: "SettingRow(")
                .compactMap { $0.split(separator: "\"").dropFirst().first.map(String.init) }
        }
    }

    /// Events that nothing can raise yet, each with the reason; every other one needs a test.
    static let eventsWithoutCause = [
        "serverRedirected": "there is one node: no client can be sent to another",
        "staleServed": "ranges of one node answer at once: no lease of theirs can run out",
    ]

    /// The cases of the enum EventKind.
    static func events(in repository: Repository) -> [String] {
        let files = repository.sources.filter { $0.components.last == "EventKind.swift" }
        return files.flatMap(SwitchRules.declaredEnums).first { $0.name == "EventKind" }?
            .cases.sorted() ?? []
    }
}

extension String {
    /// The parts behind each occurrence of a marker.
    fileprivate func components(of marker: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: marker) {
            rest = rest[range.upperBound...]
            let end = rest.firstRange(of: marker)?.lowerBound ?? rest.endIndex
            parts.append(String(rest[..<end]))
        }
        return parts
    }
}
