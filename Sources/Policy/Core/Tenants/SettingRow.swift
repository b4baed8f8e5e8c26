import Base

/// When a changed setting takes hold.
package enum SettingEffect: Sendable {
    /// On live connections, from the next packet or delivery that it concerns.
    case nextPacket
    /// From the next CONNECT: the value was announced in CONNACK, or decides how a session starts.
    case nextConnect
    /// Never: accepted for compatibility, and a warning says so.
    case none

    /// For the reference page.
    package var explanation: String {
        switch self {
        case .nextPacket: "live"
        case .nextConnect: "next CONNECT"
        case .none: "none (accepted for compatibility)"
        }
    }
}

/// What a setting's number counts.
package enum SettingUnit: String, Sendable {
    case none = ""
    case bytes
    case bytesPerSecond = "bytes/s"
    case seconds
    case characters
    case messages
    case perSecond = "1/s"
}

/// One setting: its name, where its value lies, what values it may have and what it means.
package struct SettingRow: Sendable {
    /// Where the value lies in `TenantSettings`, with its type and range.
    package enum Field: Sendable {
        case flag(WritableKeyPath<TenantSettings, Bool> & Sendable)
        /// `unlimited` is the number that the word `unlimited` stands for.
        case number(
            WritableKeyPath<TenantSettings, Int> & Sendable, ClosedRange<Int>, unlimited: Int?)
        case policy(WritableKeyPath<TenantSettings, SlowConsumerPolicy> & Sendable)
    }

    /// The number under which the value is stored; never reused.
    package let number: UInt16
    package let name: String
    package let field: Field
    package let unit: SettingUnit
    package let effect: SettingEffect
    package let meaning: String

    init(
        _ number: UInt16, _ name: String, _ field: Field, _ unit: SettingUnit,
        _ effect: SettingEffect, _ meaning: String
    ) {
        self.number = number
        self.name = name
        self.field = field
        self.unit = unit
        self.effect = effect
        self.meaning = meaning
    }

    /// The value as the number that is stored: flags are 0 or 1, policies their raw value.
    package func read(_ settings: TenantSettings) -> Int {
        switch field {
        case .flag(let path): settings[keyPath: path] ? 1 : 0
        case .number(let path, _, _): settings[keyPath: path]
        case .policy(let path): Int(settings[keyPath: path].rawValue)
        }
    }

    /// Writes a value that `allows` has accepted.
    package func write(_ value: Int, to settings: inout TenantSettings) {
        invariant(allows(value), "\(name) = \(value)")
        switch field {
        case .flag(let path): settings[keyPath: path] = value == 1
        case .number(let path, _, _): settings[keyPath: path] = value
        case .policy(let path):
            settings[keyPath: path] = SlowConsumerPolicy(rawValue: UInt8(value)) ?? .dropNewest
        }
    }

    package func allows(_ value: Int) -> Bool {
        switch field {
        case .flag: value == 0 || value == 1
        case .number(_, let range, let unlimited): range.contains(value) || value == unlimited
        case .policy: (0..<SlowConsumerPolicy.allCases.count).contains(value)
        }
    }

    package var defaultValue: Int { read(.standard) }

    /// The value in the words of the configuration.
    package func text(_ value: Int) -> String {
        switch field {
        case .flag: value == 1 ? "true" : "false"
        case .number(_, _, let unlimited): value == unlimited ? "unlimited" : String(value)
        case .policy: SlowConsumerPolicy(rawValue: UInt8(clamping: value))?.name ?? String(value)
        }
    }

    /// The type and range in words.
    package var validText: String {
        switch field {
        case .flag: return "true or false"
        case .number(_, let range, let unlimited):
            let upper = range.upperBound == .max ? "" : String(range.upperBound)
            let span =
                upper.isEmpty ? "at least \(range.lowerBound)" : "\(range.lowerBound) to \(upper)"
            return unlimited == nil ? span : span + ", or unlimited"
        case .policy:
            return SlowConsumerPolicy.allCases.map(\.name).joined(separator: ", ")
        }
    }

    /// Reads a value in the words of the configuration.
    package func parse(_ text: String) throws(SettingError) -> Int {
        guard let value = number(in: text), allows(value) else {
            throw .badValue(setting: name, value: text, valid: validText)
        }
        return value
    }

    private func number(in text: String) -> Int? {
        switch field {
        case .flag: return Units.flag(text).map { $0 ? 1 : 0 }
        case .number(_, _, let unlimited):
            if text == "unlimited" { return unlimited }
            switch unit {
            case .bytes, .bytesPerSecond: return Units.bytes(text)
            case .seconds:
                return Int(text) ?? Units.duration(text).map { Int($0.components.seconds) }
            case .none, .characters, .messages, .perSecond: return Int(text)
            }
        case .policy:
            return SlowConsumerPolicy.allCases.first { $0.name == text }.map { Int($0.rawValue) }
        }
    }
}

/// Why a setting was refused. Texts name the setting and the remedy.
package enum SettingError: Error, Equatable, CustomStringConvertible {
    case unknown(name: String, suggestion: String?)
    case badValue(setting: String, value: String, valid: String)
    case contradiction(String)
    case badBytes(String)

    package var description: String {
        switch self {
        case .unknown(let name, let suggestion):
            "there is no setting '\(name.escapedForLog)'"
                + (suggestion.map { "; did you mean '\($0)'?" } ?? "")
        case .badValue(let setting, let value, let valid):
            "\(setting): '\(value.escapedForLog)' is not allowed; it must be \(valid)"
        case .contradiction(let text): text
        case .badBytes(let text): "stored settings are damaged: \(text)"
        }
    }
}
