import Base
import KV

/// How a shared subscription hands out messages.
package enum GroupKind: UInt8, Sendable, CaseIterable {
    /// `$share`: each message to any one member.
    case unordered = 1
    /// `$oshare`: the messages of one publisher to the same member while members are stable.
    case ordered = 2
}

/// A shared subscription's group: kind and name. The filter is the route's.
package struct RouteGroup: Hashable, Sendable {
    package var kind: GroupKind
    package var name: [UInt8]

    package init(kind: GroupKind, name: [UInt8]) {
        self.kind = kind
        self.name = name
    }
}

/// Who receives what a filter matches.
package enum RouteReceiver: Hashable, Sendable {
    /// Sessions that live with their connections on one worker. `token` names the filter in that
    /// worker's `FilterTable`, which knows the sessions; void once the node's epoch is fenced.
    case transient(place: Place, epoch: LivenessEpoch, token: UInt64)
    /// A stored session. `options` is the byte of SUBSCRIBE; identifier 0 means none.
    case stored(clientID: [UInt8], incarnation: UInt64, options: UInt8, subscriptionID: UInt32)
}

/// One key of the dist store: a filter of a tenant and one of its receivers.
package struct Route: Hashable, Sendable {
    package var tenant: [UInt8]
    /// Without `$share/group/`.
    package var filter: [UInt8]
    /// Nil for a plain subscription.
    package var group: RouteGroup?
    package var receiver: RouteReceiver

    package init(
        tenant: [UInt8], filter: [UInt8], group: RouteGroup? = nil, receiver: RouteReceiver
    ) {
        self.tenant = tenant
        self.filter = filter
        self.group = group
        self.receiver = receiver
    }
}

/// What became of one item of a command: the byte in the command's result.
package enum RouteCode: UInt8, Sendable, CaseIterable {
    case added = 0
    /// The receiver was there; its token, incarnation or options are now the new ones.
    case replaced = 1
    /// The very same route was there.
    case unchanged = 2
    case removed = 3
    /// Nothing to remove: no such receiver, or it carries another token or incarnation.
    case absent = 4
    /// The epoch is fenced from now on.
    case epochFenced = 5

    /// The group has as many members as the command allows.
    case groupFull = 16
    /// The route's epoch was fenced before.
    case epochVoid = 17
    /// The bytes are no item, or the filter is no filter.
    case malformed = 18
    /// The range holds as much as it may (`DistLimits`).
    case rangeFull = 19

    /// Whether the route is now as the item asked.
    package var isDone: Bool { rawValue < 16 }
}

/// What an item of a command or of a patch does.
enum RouteAction: UInt8 {
    case add = 1
    case remove = 2
    case fence = 3
}

/// One item of a command or patch, in place: its strings point into the message.
///
/// ```
///  item:     action u8 (1 add, 2 remove), tenant s16, filter s16, group kind u8 (0 none),
///            [group s16, members max u32], receiver kind u8 and
///              1 transient: node u64, worker u16, epoch u64, token u64
///              2 stored:    client id s16, incarnation u64, options u8, subscription id u32
///  or:       action u8 (3 fence), node u64, epoch u64
///  s16:      length u16, bytes
/// ```
struct RouteItem {
    var action = RouteAction.add
    var tenant = UnsafeRawBufferPointer(start: nil, count: 0)
    var filter = UnsafeRawBufferPointer(start: nil, count: 0)
    var groupKind: GroupKind?
    var group = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Members that the group may have after an addition.
    var membersMax: UInt32 = 0
    var isStored = false
    var place = Place(node: NodeID(0), worker: WorkerIndex(0))
    var epoch = LivenessEpoch(0)
    var token: UInt64 = 0
    var clientID = UnsafeRawBufferPointer(start: nil, count: 0)
    var incarnation: UInt64 = 0
    var options: UInt8 = 0
    var subscriptionID: UInt32 = 0

    static let transientKind: UInt8 = 1
    static let storedKind: UInt8 = 2

    init() {}

    init(
        _ base: UnsafeRawBufferPointer, _ bytes: RawSpan, reader: inout ByteReader
    ) throws(ByteShortage) {
        guard let action = RouteAction(rawValue: try reader.readUInt8(bytes)) else {
            throw ByteShortage()
        }
        self.action = action
        if action == .fence {
            place.node = NodeID(try reader.readUInt64(bytes))
            epoch = LivenessEpoch(try reader.readUInt64(bytes))
            return
        }
        func string() throws(ByteShortage) -> UnsafeRawBufferPointer {
            let range = try reader.takeLengthPrefixed16(bytes)
            return UnsafeRawBufferPointer(rebasing: base[range.range])
        }
        tenant = try string()
        filter = try string()
        let kind = try reader.readUInt8(bytes)
        if kind != 0 {
            guard let known = GroupKind(rawValue: kind) else { throw ByteShortage() }
            groupKind = known
            group = try string()
            membersMax = try reader.readUInt32(bytes)
        }
        switch try reader.readUInt8(bytes) {
        case Self.transientKind:
            place = try reader.readPlace(bytes)
            epoch = LivenessEpoch(try reader.readUInt64(bytes))
            token = try reader.readUInt64(bytes)
        case Self.storedKind:
            isStored = true
            clientID = try string()
            incarnation = try reader.readUInt64(bytes)
            options = try reader.readUInt8(bytes)
            subscriptionID = try reader.readUInt32(bytes)
        default: throw ByteShortage()
        }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(action.rawValue)
        if action == .fence {
            writer.append(bigEndian: place.node.rawValue)
            writer.append(bigEndian: epoch.rawValue)
            return
        }
        writer.append(string16: tenant)
        writer.append(string16: filter)
        writer.append(groupKind?.rawValue ?? 0)
        if groupKind != nil {
            writer.append(string16: group)
            writer.append(bigEndian: membersMax)
        }
        if isStored {
            writer.append(Self.storedKind)
            writer.append(string16: clientID)
            writer.append(bigEndian: incarnation)
            writer.append(options)
            writer.append(bigEndian: subscriptionID)
        } else {
            writer.append(Self.transientKind)
            writer.append(place: place)
            writer.append(bigEndian: epoch.rawValue)
            writer.append(bigEndian: token)
        }
    }

    /// A copy that outlives the message.
    var route: Route {
        Route(
            tenant: [UInt8](tenant), filter: [UInt8](filter),
            group: groupKind.map { RouteGroup(kind: $0, name: [UInt8](group)) },
            receiver: isStored
                ? .stored(
                    clientID: [UInt8](clientID), incarnation: incarnation, options: options,
                    subscriptionID: subscriptionID)
                : .transient(place: place, epoch: epoch, token: token))
    }
}

extension ByteWriter {
    /// Length u16 and bytes; the caller has checked the length.
    mutating func append(string16 bytes: UnsafeRawBufferPointer) {
        invariant(bytes.count <= 0xFFFF, "\(bytes.count) bytes behind a 16-bit length")
        append(bigEndian: UInt16(truncatingIfNeeded: bytes.count))
        append(bytes)
    }
}

extension Route {
    /// Calls `body` with the route as an item whose strings live as long as the call.
    func withItem<R>(
        _ action: RouteAction, membersMax: UInt32 = 0, _ body: (RouteItem) -> R
    ) -> R {
        var item = RouteItem()
        item.action = action
        item.groupKind = group?.kind
        item.membersMax = membersMax
        var client: [UInt8] = []
        switch receiver {
        case .transient(let place, let epoch, let token):
            (item.place, item.epoch, item.token) = (place, epoch, token)
        case .stored(let clientID, let incarnation, let options, let subscriptionID):
            item.isStored = true
            client = clientID
            item.incarnation = incarnation
            item.options = options
            item.subscriptionID = subscriptionID
        }
        return tenant.withUnsafeBytes { tenant in
            filter.withUnsafeBytes { filter in
                (group?.name ?? []).withUnsafeBytes { group in
                    client.withUnsafeBytes { client in
                        item.tenant = tenant
                        item.filter = filter
                        item.group = group
                        item.clientID = client
                        return body(item)
                    }
                }
            }
        }
    }
}
