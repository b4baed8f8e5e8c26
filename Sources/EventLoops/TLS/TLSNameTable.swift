/// Which certificate serves which server name.
///
/// Exact names win over wildcards, earlier certificates over later ones. A wildcard stands for
/// exactly one label, the first: `*.example.org` serves `a.example.org`, neither `example.org`
/// nor `a.b.example.org`.
struct TLSNameTable: Equatable {
    private var exact: [String: Int] = [:]
    /// Keyed by what follows `*`, with its dot.
    private var wildcards: [String: Int] = [:]

    /// `name` as it stands in a certificate.
    mutating func add(_ name: String, index: Int) {
        let name = Self.normalized(name)
        if name.hasPrefix("*.") {
            let rest = String(name.dropFirst())
            if wildcards[rest] == nil { wildcards[rest] = index }
        } else if exact[name] == nil {
            exact[name] = index
        }
    }

    /// The certificate for the name that a client asks for, or nil.
    func index(for name: String) -> Int? {
        let name = Self.normalized(name)
        if let index = exact[name] { return index }
        guard let dot = name.firstIndex(of: "."), dot != name.startIndex else { return nil }
        return wildcards[String(name[dot...])]
    }

    private static func normalized(_ name: String) -> String {
        let lower = name.lowercased()
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }
}
