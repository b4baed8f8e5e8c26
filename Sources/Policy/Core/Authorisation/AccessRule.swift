import Base

/// One line of an access file: for whom, what, on which topics, allowed or denied.
package struct AccessRule: Equatable, Sendable {
    /// What a rule speaks of.
    package struct Actions: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let connect = Actions(rawValue: 1)
        package static let publish = Actions(rawValue: 2)
        package static let subscribe = Actions(rawValue: 4)
    }

    /// A name in a rule: exact, or all that begin like it (`dev-*`).
    package enum NamePattern: Equatable, Sendable {
        case exact(String)
        case prefix(String)

        package init(_ text: String) {
            self = text.hasSuffix("*") ? .prefix(String(text.dropLast())) : .exact(text)
        }

        package func matches(_ name: String) -> Bool {
            switch self {
            case .exact(let wanted): name == wanted
            case .prefix(let prefix): name.hasPrefix(prefix)
            }
        }
    }

    package var isAllowing: Bool
    package var actions: Actions
    /// Any of them; empty only for rules about connecting alone.
    package var filters: [FilterPattern] = []
    // For whom; an empty list is everyone.
    package var users: [NamePattern] = []
    package var clients: [NamePattern] = []
    package var tenants: [NamePattern] = []
    package var networks: [IPNetwork] = []
    /// Bit n: QoS n.
    package var qosMask: UInt8 = 0b111
    /// Nil for both.
    package var retain: Bool?
    /// Line in the file, for the answer to "why".
    package var line: Int

    package init(isAllowing: Bool, actions: Actions, line: Int) {
        self.isAllowing = isAllowing
        self.actions = actions
        self.line = line
    }

    var gap: FilterPattern.Gap { isAllowing ? .nothing : .everythingBelow }

    /// Whether the rule speaks of this client.
    package func concerns(_ client: ClientIdentity, _ address: IPAddress?) -> Bool {
        func holds(_ patterns: [NamePattern], _ name: String) -> Bool {
            patterns.isEmpty || patterns.contains { $0.matches(name) }
        }
        return holds(users, client.user) && holds(clients, client.clientID)
            && holds(tenants, client.tenant.text)
            && (networks.isEmpty
                || address.map { address in networks.contains { $0.contains(address) } } ?? false)
    }

    /// The one user that the rule is for, if it is for one alone: the key of an index.
    var onlyUser: String? {
        if users.count == 1, case .exact(let name) = users[0] { name } else { nil }
    }

    func concerns(qos: UInt8) -> Bool { qosMask &>> qos & 1 == 1 }
}
