/// What crosses a module is inlined only if its type may be.
enum InliningRules {
    static let all: [Rule] = [members]

    /// The compiler says nothing of it: `@inlinable` on a member of a package type that is not
    /// `@usableFromInline` has no effect (Docs/DECISIONS.md 31).
    static let members = Rule(name: "an inlinable member stands in a type usable from inline") {
        repository in
        let hidden = Set(repository.sources.flatMap(hiddenTypes))
        return repository.sources.flatMap { file in
            inlinableMembers(of: file).filter {
                hidden.contains("\(file.module ?? "").\($0.type)")
            }
            .map {
                file.violation(
                    $0.line, "an @inlinable member of \($0.type), which is not usable from inline",
                    "put @usableFromInline before the type, or leave @inlinable out")
            }
        }
    }

    /// Names of types, with their modules, that are neither public nor marked.
    private static func hiddenTypes(_ file: SourceFile) -> [String] {
        file.code.indices.compactMap { index in
            guard let type = NamingRules.declaredType(file.code[index]) else { return nil }
            let above = index > 0 ? file.code[index - 1] : ""
            let isUsable =
                type.modifiers.contains("public") || type.modifiers.contains("usableFromInline")
                || above.contains("@usableFromInline")
            return isUsable ? nil : "\(file.module ?? "").\(type.name)"
        }
    }

    /// Lines with the attribute, and the innermost type or extension around each, by indentation.
    private static func inlinableMembers(of file: SourceFile) -> [(line: Int, type: String)] {
        var found: [(line: Int, type: String)] = []
        var around: [(indent: Int, name: String)] = []
        for (index, line) in file.code.enumerated() {
            let indent = line.prefix { $0 == " " }.count
            if indent == line.count { continue }
            if line.contains("@inlinable"), let type = around.last(where: { $0.indent < indent }) {
                found.append((index + 1, type.name))
            }
            guard let name = NamingRules.declaredType(line)?.name ?? extendedType(line) else {
                continue
            }
            around.removeAll { $0.indent >= indent }
            around.append((indent, name))
        }
        return found
    }

    private static func extendedType(_ line: String) -> String? {
        let words = Tokens.words(line)
        guard let place = words.firstIndex(of: "extension"), place + 1 < words.count, place < 2
        else { return nil }
        return words[place + 1]
    }
}
