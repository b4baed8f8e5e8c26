import Admin

/// Checks values against the part of JSON Schema that the OpenAPI document uses. A keyword that it
/// does not know is a fault of the document: nobody would check it.
struct SchemaChecker {
    let document: JSONValue

    private static let annotations: Set<String> = [
        "description", "default", "contentEncoding", "pattern",
    ]

    /// What `$ref` leads to.
    func resolve(_ value: JSONValue) -> JSONValue {
        guard let path = value["$ref"]?.text else { return value }
        var found = document
        for name in path.dropFirst(2).split(separator: "/") {
            found = found[String(name)] ?? .null
        }
        return found
    }

    /// Everything that is wrong with a value.
    func faults(of value: JSONValue, _ schema: JSONValue, at place: String = "body") -> [String] {
        guard let members = resolve(schema).members else { return ["\(place): no schema"] }
        return members.flatMap { member in
            faults(of: value, member, resolve(schema), place).map { "\(place): \($0)" }
        }
    }

    private func faults(
        of value: JSONValue, _ rule: JSONMember, _ schema: JSONValue, _ place: String
    ) -> [String] {
        switch rule.name {
        case "type": return isOfType(value, rule.value.text) ? [] : ["is no \(rule.value)"]
        case "enum": return rule.value.list?.contains(value) == true ? [] : ["not in \(rule.value)"]
        case "minimum":
            return value.integer.map { $0 >= rule.value.integer ?? 0 } ?? true ? [] : ["too small"]
        case "maximum":
            return value.integer.map { $0 <= rule.value.integer ?? 0 } ?? true ? [] : ["too large"]
        case "minLength":
            return value.text.map { $0.count >= rule.value.integer ?? 0 } ?? true ? [] : ["short"]
        case "maxItems":
            return value.list.map { $0.count <= rule.value.integer ?? 0 } ?? true ? [] : ["long"]
        case "required":
            return (rule.value.list ?? []).compactMap(\.text).filter { value[$0] == nil }
                .map { "'\($0)' is missing" }
        case "properties":
            return (value.members ?? []).flatMap { member in
                rule.value[member.name].map {
                    faults(of: member.value, $0, at: member.name)
                } ?? []
            }
        case "additionalProperties":
            guard rule.value == .flag(false) else { return ["only false is understood"] }
            return (value.members ?? []).filter { schema["properties"]?[$0.name] == nil }
                .map { "'\($0.name)' is not described" }
        case "items":
            return (value.list ?? []).enumerated().flatMap { index, item in
                faults(of: item, rule.value, at: "\(index)")
            }
        case _ where Self.annotations.contains(rule.name): return []
        case _: return ["the keyword '\(rule.name)' is not known to the checker"]
        }
    }

    private func isOfType(_ value: JSONValue, _ type: String?) -> Bool {
        switch type {
        case "object": value.members != nil
        case "array": value.list != nil
        case "string": value.text != nil
        case "integer": value.integer != nil
        case "boolean": value.flag != nil
        case _: false
        }
    }
}
