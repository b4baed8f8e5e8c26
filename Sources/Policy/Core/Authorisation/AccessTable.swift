import Base

/// All rules of an access file. A value: a reload makes a new one or keeps the old.
package struct AccessTable: Equatable, Sendable {
    /// Rules in one file.
    package static let rulesMax = 100_000

    package private(set) var rules: [AccessRule]
    package var isDefaultAllow: Bool
    /// Numbers of rules for one user alone, by user; a file may have thousands of users.
    private var byUser: [String: [Int]] = [:]
    /// Numbers of all other rules.
    private var general: [Int] = []

    package init(_ rules: [AccessRule], isDefaultAllow: Bool) {
        self.rules = rules
        self.isDefaultAllow = isDefaultAllow
        for (number, rule) in rules.enumerated() {
            if let user = rule.onlyUser {
                byUser[user, default: []].append(number)
            } else {
                general.append(number)
            }
        }
    }

    /// Numbers of the rules that concern a client, rising: clients with the same numbers have the
    /// same permissions.
    package func numbers(for client: ClientIdentity) -> [Int] {
        let address = IPAddress(client.peerAddress)
        let own = byUser[client.user] ?? []
        return (own + general).sorted().filter { rules[$0].concerns(client, address) }
    }

    package func compile(_ numbers: [Int]) -> CompiledPermissions {
        CompiledPermissions(numbers.map { rules[$0] }, isDefaultAllow: isDefaultAllow)
    }
}

/// The form of an access file.
package enum AccessFormat: String, CaseIterable, Sendable {
    case apus
    case mosquitto
}
