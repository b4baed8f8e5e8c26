import Base
import Dist
import Inbox
import MQTT

/// A shared subscription's filter taken apart: `$share/group/filter` or `$oshare/group/filter`.
/// Nil for any other filter; the filter was checked before.
struct SharedName {
    let group: RouteGroup
    let filter: [UInt8]

    init?(_ whole: [UInt8]) {
        guard whole.first == 0x24 else { return nil }
        let parsed = whole.withRawSpan { bytes -> TopicFilter? in
            let part = ByteRange(offset: 0, count: bytes.byteCount)
            return try? TopicFilter.parse(bytes, part, .protocolLimits)
        }
        guard let parsed else { return nil }
        let kind: GroupKind
        switch parsed.share {
        case .none: return nil
        case .unordered: kind = .unordered
        case .ordered: kind = .ordered
        }
        group = RouteGroup(kind: kind, name: Array(whole[parsed.group.range]))
        filter = Array(whole[parsed.filter.range])
    }

    /// The group's inbox.
    func inbox(_ tenant: [UInt8]) -> SessionName {
        let share =
            switch group.kind {
            case .unordered: "$share"
            case .ordered: "$oshare"
            }
        return SessionName(
            tenant: tenant,
            clientID: InboxKeys.groupID(share: share, group: group.name, filter: filter))
    }
}
