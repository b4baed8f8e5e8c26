/// Figures as people read them. The same on every machine: no locale is asked.
package enum FigureText {
    /// What stands for a figure that is not there.
    package static let none = "–"

    /// `1,234,567`.
    package static func count(_ value: Int) -> String {
        let digits = String(value.magnitude)
        var result = value < 0 ? "−" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result += "," }
            result.append(digit)
        }
        return result
    }

    /// Three digits that count: `0.0123`, `1.23`, `12.3`, `123`, `1,234`.
    package static func number(_ value: Double?) -> String {
        guard let value, value.isFinite, value.magnitude < 1e15 else { return none }
        if value == 0 { return "0" }
        var places = 0
        var size = value.magnitude
        while size < 99.95, places < 6 {
            size *= 10
            places += 1
        }
        return fixed(value, places)
    }

    /// A number with so many digits after the point; zeros at the end are left out.
    package static func fixed(_ value: Double, _ places: Int) -> String {
        guard value.isFinite, value.magnitude < 1e15 else { return none }
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        guard value.magnitude < 9e18 / Double(scale) else { return count(Int(value)) }
        let scaled = Int((value.magnitude * Double(scale)).rounded())
        var text = count(scaled / scale)
        if scaled % scale > 0 {
            let digits = String(scaled % scale)
            let fraction = String(repeating: "0", count: places - digits.count) + digits
            let kept = fraction.reversed().drop { $0 == "0" }.reversed()
            text += "." + String(kept)
        }
        return value < 0 && scaled > 0 ? "−" + text : text
    }

    /// Microseconds in the unit that suits them: `85 µs`, `1.2 ms`, `3 s`.
    package static func latency(_ microseconds: Double?) -> String {
        guard let microseconds, microseconds.isFinite else { return none }
        if microseconds < 999.5 { return number(microseconds) + " µs" }
        if microseconds < 999_500 { return number(microseconds / 1_000) + " ms" }
        return number(microseconds / 1_000_000) + " s"
    }

    /// `512 B`, `1.5 KiB`, `20 MiB`.
    package static func bytes(_ value: Double?) -> String {
        guard let value, value.isFinite else { return none }
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var (size, unit) = (value, 0)
        while size.magnitude >= 1_023.5, unit < units.count - 1 {
            size /= 1_024
            unit += 1
        }
        return number(size) + " " + units[unit]
    }

    /// `12,345/s`.
    package static func rate(_ value: Double?) -> String {
        guard let value, value.isFinite else { return none }
        return (value < 100 ? number(value) : fixed(value, 0)) + "/s"
    }

    /// Seconds since the start of a run: `30 s`, `5 min`, `1.5 h`.
    package static func time(_ seconds: Double) -> String {
        if seconds.magnitude < 120 { return fixed(seconds, 2) + " s" }
        if seconds.magnitude < 7_200 { return fixed(seconds / 60, 2) + " min" }
        return fixed(seconds / 3_600, 2) + " h"
    }

    /// `99.9%` without a rounding to 100 that would not be true.
    package static func percentile(_ value: Double) -> String {
        if value >= 100 { return "max" }
        for places in 0...7 where (fixed(value, places) != "100") {
            let rounded = fixed(value, places)
            if let read = Double(rounded), (read - value).magnitude < (100 - value) / 50 {
                return rounded + "%"
            }
        }
        return fixed(value, 7) + "%"
    }

    /// A place in a drawing, to a tenth.
    static func coordinate(_ value: Double) -> String {
        guard value.isFinite, value.magnitude < 1e9 else { return "0" }
        let tenths = Int((value.magnitude * 10).rounded())
        let sign = value < 0 && tenths > 0 ? "-" : ""
        return sign + String(tenths / 10) + (tenths % 10 == 0 ? "" : ".\(tenths % 10)")
    }

    /// The beginning of a text that may be of any length.
    package static func short(_ text: String, _ scalarsMax: Int = 64) -> String {
        guard text.unicodeScalars.count > scalarsMax else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(scalarsMax - 1))) + "…"
    }
}
