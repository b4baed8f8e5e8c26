extension String {
    /// The text without anything that could forge a log line or drive a terminal: control
    /// characters, line separators and direction marks become `\u{..}`, a backslash is doubled.
    package var escapedForLog: String {
        if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != 0x5C }) { return self }
        var escaped = ""
        for scalar in unicodeScalars {
            if scalar == "\\" {
                escaped += "\\\\"
            } else if scalar.isDangerousInLog {
                escaped += "\\u{" + String(scalar.value, radix: 16) + "}"
            } else {
                escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// The text as a quoted JSON string.
    package var quotedForJSON: String {
        var quoted = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            default:
                if scalar.isDangerousInLog, scalar.value <= 0xFFFF {
                    let digits = String(scalar.value, radix: 16)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    quoted.unicodeScalars.append(scalar)
                }
            }
        }
        return quoted + "\""
    }
}

extension Unicode.Scalar {
    /// Control characters, line and paragraph separators, marks that turn the direction of text.
    fileprivate var isDangerousInLog: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x2069, 0xFEFF: true
        default: false
        }
    }
}
