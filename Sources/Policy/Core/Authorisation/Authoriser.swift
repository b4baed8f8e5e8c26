/// Who asks: a client as the rules see it.
public struct ClientIdentity: Equatable, Sendable {
    public var tenant: TenantName
    /// Empty for a client without a name.
    public var user: String
    public var clientID: String
    /// Without port; empty for a Unix socket.
    public var peerAddress: String
    public var isSuperuser: Bool
    /// What the authenticator handed on.
    public var attributes: [String: String]

    public init(_ principal: Principal, clientID: String, peerAddress: String) {
        tenant = principal.tenant
        user = principal.user
        isSuperuser = principal.isSuperuser
        attributes = principal.attributes
        self.clientID = clientID
        self.peerAddress = peerAddress
    }
}

/// What a client wants to do.
public enum AccessAction: Equatable, Sendable {
    case connect
    case publish(topic: String, qos: UInt8, retain: Bool)
    /// The filter is without `$share` and group.
    case subscribe(filter: String, qos: UInt8)
    case unsubscribe(filter: String)
    /// Get a message on a topic of one of its subscriptions.
    case receive(topic: String, qos: UInt8)
}

/// Whether it may.
public enum AccessVerdict: Equatable, Sendable {
    /// With `needsDeliveryCheck` some topics of the filter are denied: each delivery is checked.
    case allowed(needsDeliveryCheck: Bool)
    case denied(reason: String)
    /// The rules could not be asked. Counts as denied, unless the tenant says otherwise.
    case failed(reason: String)
}

/// Called once with the verdict, from any thread.
public typealias AccessCompletion = @Sendable (AccessVerdict) -> Void

/// What a client may do, decided once per connection where that is possible.
public enum Permissions: Sendable {
    /// Everything: no check per packet.
    case everything
    /// Rules that the loop evaluates by itself, shared by all clients under the same rules.
    case compiled(CompiledPermissions)
    /// Every single action is asked: to connect, to publish, to subscribe and unsubscribe. A
    /// delivery is asked only where SUBSCRIBE was allowed with `needsDeliveryCheck`; it is not
    /// waited for, so an answer that does not come at once is a refusal.
    case ask
}

/// Decides what clients may do.
public protocol Authoriser: Sendable {
    /// Rises when rules change; loops then fetch permissions anew and judge live subscriptions,
    /// queued messages and wills again.
    var epoch: UInt64 { get }

    /// What a client may do; called on a loop at CONNECT and after a change.
    func permissions(for client: ClientIdentity) -> Permissions

    /// Judges one action where permissions are `ask`: answers at once, or returns nil and calls
    /// `completion` exactly once later.
    func judge(
        _ action: AccessAction, of client: ClientIdentity,
        _ completion: @escaping AccessCompletion
    ) -> AccessVerdict?
}
