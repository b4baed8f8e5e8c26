import Base
import Broker
import EventLoops
import Foundation
import KV
import MQTT
import Policy
import WebSocket

/// A node in this process, shared by all tests that are given it: one for each poller, and one
/// whose ranges behave as on a bad day.
struct Host: Sendable, CustomStringConvertible {
    /// What makes one host different from another.
    enum Kind: String, CaseIterable {
        case epoll
        case uring
        /// On epoll; ten per cent of proposals, questions and answers are lost, delayed or
        /// refused, and ranges split in mid-traffic.
        case faulty
    }

    let kind: Kind
    let port: UInt16
    let webSocketPort: UInt16

    var description: String { kind.rawValue }

    /// How long a script waits for what must come. Under faults a lost answer is asked for again
    /// after half a second, and then later and later.
    var patience: Duration { kind == .faulty ? .seconds(60) : .seconds(15) }

    /// Both pollers, as far as this machine has them. `APUS_CONFORMANCE_HOSTS=epoll,uring,faulty`
    /// chooses others; `make conformance` takes all three.
    static let all: [Host] = wanted.compactMap(start)

    /// Hosts for what depends on real time to the second.
    static let punctual: [Host] = all.filter { $0.kind != .faulty }

    private static let wanted: [Kind] = {
        guard let text = ProcessInfo.processInfo.environment["APUS_CONFORMANCE_HOSTS"] else {
            return [.epoll, .uring]
        }
        return text.split(separator: ",").compactMap { Kind(rawValue: String($0)) }
    }()

    /// Nodes serve until the process ends.
    nonisolated(unsafe) private static var nodes: [Node] = []

    private static func start(_ kind: Kind) -> Host? {
        do {
            let node = try Node(options(kind))
            nodes.append(node)
            let ports = node.listeners.compactMap { listener -> UInt16? in
                switch listener.address {
                case .ip(let place): place.port
                case .unix: nil
                }
            }
            guard ports.count == 2 else { return nil }
            print("conformance: \(kind.rawValue) serves on port \(ports[0])")
            return Host(kind: kind, port: ports[0], webSocketPort: ports[1])
        } catch {
            print("skipped: tests on \(kind.rawValue): \(error)")
            return nil
        }
    }

    /// The user `guarded` may do nothing below `forbidden`; nobody else is held back.
    private static var guardedTable: AccessTable {
        let rules = """
            deny publish,subscribe forbidden/# user=guarded
            deny publish,subscribe forbidden user=guarded
            default allow
            """
        do {
            return try AccessFileDecoder.decode(Array(rules.utf8), path: "conformance.acl")
        } catch {
            invariantFailed("rules: \(error)")
        }
    }

    private static func options(_ kind: Kind) -> NodeOptions {
        var options = NodeOptions()
        options.loops = LoopOptions(poller: kind == .uring ? .uring : .epoll, workers: 2)
        options.loops.pinsThreads = false
        let loopback = ListenerAddress.ip(PeerAddress(IPAddress(v4: 0x7F00_0001), port: 0))
        options.listeners = [
            NodeOptions.Listener(name: "tcp", socket: ListenerOptions(address: loopback)),
            NodeOptions.Listener(
                name: "ws", socket: ListenerOptions(address: loopback), upgrade: UpgradeOptions()),
        ]
        options.authenticator = ScriptedAuthenticator()
        options.authoriser = FileAuthoriser(guardedTable)
        options.tenants.replace { table in
            var table = table
            table.configure(
                defaults: Tenant.defaults, tenants: Tenant.settings, acceptsUnknown: true)
            return table
        }
        if kind == .faulty {
            options.faults = (percent: 10, splitsMax: 4)
            for index in options.listeners.indices {
                options.listeners[index].connectTimeout = .seconds(60)
            }
        }
        return options
    }
}

/// Tenants whose settings differ from those of most tests; a script chooses one by the first part
/// of its user name.
enum Tenant: String, CaseIterable {
    /// Nothing above QoS 1 may be published.
    case qos1
    case noRetain
    /// Two publishes may be open.
    case narrow
    /// One publish per second and connection.
    case brisk
    /// Packets of 200 bytes at most.
    case small
    /// No topic alias.
    case noAlias
    /// Keep alive of at least 60 seconds.
    case slow
    /// Neither wildcards, nor shared subscriptions, nor subscription identifiers.
    case plain

    var changes: [(name: String, value: String)] {
        switch self {
        case .qos1: [("MaximumQoS", "1")]
        case .noRetain: [("RetainEnabled", "false")]
        case .narrow: [("ReceivingMaximum", "2")]
        case .brisk: [("MsgPubPerSec", "1")]
        case .small: [("MaxUserPayloadBytes", "200")]
        case .noAlias: [("MaxTopicAlias", "0")]
        case .slow: [("MinKeepAliveSeconds", "60")]
        case .plain:
            [
                ("WildcardSubscriptionEnabled", "false"), ("SharedSubscriptionEnabled", "false"),
                ("SubscriptionIdentifierEnabled", "false"),
            ]
        }
    }

    /// Short times, long topics: what the specification allows.
    static let defaults = overrides([
        ("MinSessionExpirySeconds", "1"), ("MinKeepAliveSeconds", "1"),
        ("MaxTopicLength", "65535"), ("MaxTopicLevelLength", "65535"), ("MaxTopicLevels", "65535"),
    ])

    static var settings: [TenantName: TenantOverrides] {
        var settings: [TenantName: TenantOverrides] = [:]
        for tenant in allCases {
            if let name = TenantName(tenant.rawValue) { settings[name] = overrides(tenant.changes) }
        }
        return settings
    }

    private static func overrides(_ changes: [(name: String, value: String)]) -> TenantOverrides {
        var overrides = TenantOverrides()
        for (name, value) in changes {
            do {
                try overrides.set(name, to: value)
            } catch {
                invariantFailed("\(name): \(error)")
            }
        }
        return overrides
    }
}
