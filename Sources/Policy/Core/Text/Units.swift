/// Numbers with units in configuration: `16MB`, `512KiB`, `30s`, `1h30m`, `true`.
package enum Units {
    /// Bytes; without a unit the number counts bytes. `KB` is 1,000 and `KiB` is 1,024.
    package static func bytes(_ text: String) -> Int? {
        guard let (number, unit) = split(text) else { return nil }
        let scale: Int
        switch unit.lowercased() {
        case "", "b": scale = 1
        case "kb", "k": scale = 1_000
        case "mb", "m": scale = 1_000_000
        case "gb", "g": scale = 1_000_000_000
        case "tb", "t": scale = 1_000_000_000_000
        case "kib": scale = 1 << 10
        case "mib": scale = 1 << 20
        case "gib": scale = 1 << 30
        case "tib": scale = 1 << 40
        default: return nil
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: scale)
        return overflow ? nil : product
    }

    /// A span of time; every number needs its unit (`ms`, `s`, `m`, `h`, `d`), except 0.
    package static func duration(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        var rest = text[...]
        var total: Int64 = 0
        var parts = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let number = Int64(digits), let scale = milliseconds[String(unit)] else {
                return nil
            }
            let (product, overflow) = number.multipliedReportingOverflow(by: scale)
            let (sum, carried) = total.addingReportingOverflow(product)
            guard !overflow, !carried else { return nil }
            total = sum
            parts += 1
        }
        return parts == 0 ? nil : .milliseconds(total)
    }

    private static let milliseconds: [String: Int64] = [
        "ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000,
    ]

    package static func flag(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "yes", "on": true
        case "false", "no", "off": false
        default: nil
        }
    }

    /// Bytes in the largest unit that divides them.
    package static func text(bytes: Int) -> String {
        for (name, scale) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where bytes != 0 && bytes % scale == 0 {
            return "\(bytes / scale)\(name)"
        }
        return String(bytes)
    }

    /// A span in the largest unit that divides it.
    package static func text(duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let total = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
        if total == 0 { return "0s" }
        for (name, scale): (String, Int64) in [
            ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000),
        ] where total % scale == 0 {
            return "\(total / scale)\(name)"
        }
        return "\(total)ms"
    }

    private static func split(_ text: String) -> (Int, String)? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else { return nil }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }
        return (number, String(unit))
    }
}
