import Base

/// Who may not connect, whatever authenticators and rules say.
///
/// A value, replaced as a whole when its file is read anew. Bounded by `BanFileDecoder.bansMax`.
package struct BanTable: Equatable, Sendable {
    /// One line of the file.
    package struct Ban: Equatable, Sendable {
        /// Nil: in every tenant.
        package var tenant: TenantName?
        /// When it ends; `distantFuture` if it does not.
        package var until: WallTime

        func holds(_ tenant: TenantName?, _ now: WallTime) -> Bool {
            now < until && (self.tenant == nil || tenant == nil || self.tenant == tenant)
        }
    }

    private var clients: [String: [Ban]] = [:]
    private var users: [String: [Ban]] = [:]
    private var networks: [(network: IPNetwork, ban: Ban)] = []

    package init() {}

    package var isEmpty: Bool { clients.isEmpty && users.isEmpty && networks.isEmpty }

    mutating func banClient(_ clientID: String, _ ban: Ban) {
        clients[clientID, default: []].append(ban)
    }

    mutating func banUser(_ user: String, _ ban: Ban) { users[user, default: []].append(ban) }

    mutating func banNetwork(_ network: IPNetwork, _ ban: Ban) { networks.append((network, ban)) }

    /// Whether a client is banned that says who it is and has not been believed yet: only bans
    /// that hold in every tenant, and not those of users.
    package func bans(_ request: AuthenticationRequest, _ now: WallTime) -> Bool {
        guard !isEmpty else { return false }
        let everywhere = { (ban: Ban) in ban.tenant == nil && ban.holds(nil, now) }
        return clients[request.clientID]?.contains(where: everywhere) == true
            || bans(request.peerAddress, where: everywhere)
    }

    /// Whether a client is banned whose name is known.
    package func bans(_ client: ClientIdentity, _ now: WallTime) -> Bool {
        guard !isEmpty else { return false }
        let here = { (ban: Ban) in ban.holds(client.tenant, now) }
        return clients[client.clientID]?.contains(where: here) == true
            || users[client.user]?.contains(where: here) == true
            || bans(client.peerAddress, where: here)
    }

    private func bans(_ address: String, where holds: (Ban) -> Bool) -> Bool {
        guard !networks.isEmpty, let address = IPAddress(address) else { return false }
        return networks.contains { $0.network.contains(address) && holds($0.ban) }
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.clients == right.clients && left.users == right.users
            && left.networks.elementsEqual(right.networks) { $0 == $1 }
    }
}
