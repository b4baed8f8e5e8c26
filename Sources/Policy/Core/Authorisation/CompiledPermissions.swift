import Base
import MQTT

/// The rules that concern a client, in their order, ready to be asked for every packet.
///
/// Immutable and shared by all clients whom the same rules concern. The first rule that matches
/// decides; if none does, the file's default. A publish is matched against filters by bytes,
/// without allocation; loops keep the verdict of a topic beside its match.
public final class CompiledPermissions: Sendable {
    private let publishRows: AccessRows
    private let receiveRows: AccessRows
    let subscribeRules: [AccessRule]
    let isDefaultAllow: Bool
    /// May the client connect? Yes, unless the first rule about connecting says no.
    package let allowsConnect: Bool
    /// True if no publish can be refused: the loop need not ask.
    package let allowsEveryPublish: Bool
    /// True if no delivery can be refused.
    package let allowsEveryReceive: Bool

    package init(_ rules: [AccessRule], isDefaultAllow: Bool) {
        let publishRules = rules.filter { $0.actions.contains(.publish) }
        subscribeRules = rules.filter { $0.actions.contains(.subscribe) }
        publishRows = AccessRows(publishRules)
        receiveRows = AccessRows(subscribeRules)
        self.isDefaultAllow = isDefaultAllow
        allowsConnect = rules.first { $0.actions.contains(.connect) }?.isAllowing ?? true
        allowsEveryPublish = isDefaultAllow && publishRules.allSatisfy(\.isAllowing)
        allowsEveryReceive = isDefaultAllow && subscribeRules.allSatisfy(\.isAllowing)
    }

    /// May the client publish to this topic?
    package func allowsPublish(
        _ topic: RawSpan, qos: UInt8, retain: Bool, _ client: borrowing AccessIdentity
    ) -> Bool {
        if allowsEveryPublish { return true }
        let kind = 1 << (qos &+ (retain ? 3 : 0)) as UInt8
        return publishRows.verdict(topic, kind: kind, client) ?? isDefaultAllow
    }

    /// May the client get a message on this topic? Asked where a subscription was granted with
    /// `needsDeliveryCheck`.
    package func allowsReceive(
        _ topic: RawSpan, qos: UInt8, _ client: borrowing AccessIdentity
    ) -> Bool {
        receiveRows.verdict(topic, kind: 1 << qos, client) ?? isDefaultAllow
    }

    /// May the client subscribe to this filter, given without `$share` and group?
    ///
    /// Only if the whole filter lies in what an allowing rule allows. A denying rule that holds
    /// all of it refuses; one that holds a part makes every delivery be checked.
    package func judgeSubscribe(
        _ filter: RawSpan, qos: UInt8, _ client: borrowing AccessIdentity
    ) -> AccessVerdict {
        var isPartlyDenied = false
        for rule in subscribeRules where rule.concerns(qos: qos) {
            for pattern in rule.filters {
                guard let outer = pattern.filter(client, gap: rule.gap) else { continue }
                if outer.withRawSpan({ FilterSubset.isSubset(filter, of: $0) }) {
                    return rule.isAllowing
                        ? .allowed(needsDeliveryCheck: isPartlyDenied)
                        : .denied(reason: "rule of line \(rule.line)")
                }
                if !rule.isAllowing, outer.withRawSpan({ FilterOverlap.overlaps(filter, $0) }) {
                    isPartlyDenied = true
                }
            }
        }
        return isDefaultAllow
            ? .allowed(needsDeliveryCheck: isPartlyDenied)
            : .denied(reason: "no rule allows it")
    }

    /// The verdict of an action given as text, for queries and for `why`.
    package func judge(_ action: AccessAction, of client: ClientIdentity) -> AccessVerdict {
        client.withAccessIdentity { identity in
            func verdict(_ isAllowed: Bool) -> AccessVerdict {
                isAllowed
                    ? .allowed(needsDeliveryCheck: false) : .denied(reason: "the access rules")
            }
            switch action {
            case .connect: return verdict(allowsConnect)
            case .publish(let topic, let qos, let retain):
                return Array(topic.utf8).withRawSpan {
                    verdict(allowsPublish($0, qos: qos, retain: retain, identity))
                }
            // Rules say nothing about it: what one has, one may give up.
            case .unsubscribe: return verdict(true)
            case .receive(let topic, let qos):
                return Array(topic.utf8).withRawSpan {
                    verdict(allowsReceive($0, qos: qos, identity))
                }
            case .subscribe(let filter, let qos):
                return Array(filter.utf8).withRawSpan {
                    judgeSubscribe($0, qos: qos, identity)
                }
            }
        }
    }
}

/// The filters of rules as plain rows over one block of bytes: walked without touching a count of
/// references.
///
/// ```
///  rows:   | offset, count, kinds, isAllowing | offset, count, ... |
///  bytes:  | pattern | pattern | ...
/// ```
private struct AccessRows: ~Copyable, @unchecked Sendable {
    private struct Row {
        var offset: Int32
        var count: Int32
        /// Bit qos, and bit 3 + qos for retained publishes.
        var kinds: UInt8
        var isAllowing: Bool
    }

    private let rows: UnsafeMutableBufferPointer<Row>
    private let bytes: UnsafeMutableRawBufferPointer

    init(_ rules: [AccessRule]) {
        let filters = rules.flatMap(\.filters)
        rows = .allocate(capacity: filters.count)
        bytes = .allocate(byteCount: filters.reduce(0) { $0 + $1.bytes.count }, alignment: 1)
        var offset = 0
        var index = 0
        for rule in rules {
            let kinds =
                (rule.retain == true ? 0 : rule.qosMask)
                | (rule.retain == false ? 0 : rule.qosMask << 3)
            for filter in rule.filters {
                rows.initializeElement(
                    at: index,
                    to: Row(
                        offset: Int32(offset), count: Int32(filter.bytes.count), kinds: kinds,
                        isAllowing: rule.isAllowing))
                for byte in filter.bytes {
                    bytes[offset] = byte
                    offset += 1
                }
                index += 1
            }
        }
    }

    deinit {
        rows.deallocate()
        bytes.deallocate()
    }

    /// What the first matching row says.
    func verdict(
        _ topic: RawSpan, kind: UInt8, _ client: borrowing AccessIdentity
    ) -> Bool? {
        for row in rows where row.kinds & kind != 0 {
            let pattern = RawSpan(
                _unsafeBytes: UnsafeRawBufferPointer(
                    rebasing: bytes[Int(row.offset)..<Int(row.offset &+ row.count)]))
            let gap: FilterPattern.Gap = row.isAllowing ? .nothing : .everythingBelow
            if FilterPattern.matches(pattern, topic, client, gap: gap) { return row.isAllowing }
        }
        return nil
    }
}
