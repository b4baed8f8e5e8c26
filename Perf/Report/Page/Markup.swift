/// Text of an HTML page. What stands in the source is markup; what is put in by interpolation is
/// escaped, unless it is markup itself: a name from a run file cannot become an element.
package struct Markup: ExpressibleByStringInterpolation, Sendable, Equatable {
    package private(set) var html: String

    package init(stringLiteral value: String) { html = value }

    package init(stringInterpolation: StringInterpolation) { html = stringInterpolation.html }

    package init(joining parts: [Markup], separator: Markup = "") {
        html = parts.map(\.html).joined(separator: separator.html)
    }

    /// Nothing but the text, escaped.
    package init(text: String) { html = Self.escaped(text) }

    package static func += (left: inout Markup, right: Markup) { left.html += right.html }

    /// Collects a literal with its interpolations.
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var html = ""

        package init(literalCapacity: Int, interpolationCount: Int) {
            html.reserveCapacity(literalCapacity + 16 * interpolationCount)
        }

        package mutating func appendLiteral(_ literal: String) { html += literal }
        package mutating func appendInterpolation(_ text: String) { html += escaped(text) }
        package mutating func appendInterpolation(_ markup: Markup) { html += markup.html }
        package mutating func appendInterpolation(_ number: Int) { html += String(number) }
        /// A coordinate.
        package mutating func appendInterpolation(_ number: Double) {
            html += FigureText.coordinate(number)
        }
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(isShown(scalar) ? scalar : "\u{FFFD}")
            }
        }
        return result
    }

    /// Control characters and the marks that turn the direction of what follows are not.
    private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A: true
        case 0..<0x20, 0x7F..<0xA0, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: false
        case 0xFDD0...0xFDEF: false
        default: scalar.value & 0xFFFE != 0xFFFE
        }
    }
}
