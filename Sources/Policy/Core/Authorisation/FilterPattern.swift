import Base
import MQTT

/// A topic filter of a rule, which may name the client: `devices/%c/#`.
///
/// ```
///  devices/%c/+/#      bytes:  d e v i c e s / <1> / + / #
///  <1> client id    <2> user    <3> tenant    (control characters, which filters cannot contain)
/// ```
/// The identity is put in while matching, so clients under the same rules share the pattern. An
/// identity with `+`, `#` or `/` in it, one that begins with `$`, or an empty one, is never put
/// in: see `Gap`.
package struct FilterPattern: Equatable, Sendable {
    /// The bytes with their marks.
    let bytes: [UInt8]
    /// Whether there is a mark in it.
    let hasMark: Bool

    static let clientMark: UInt8 = 1
    static let userMark: UInt8 = 2
    static let tenantMark: UInt8 = 3

    /// What a pattern means for an identity that cannot be put in. An allowing rule then matches
    /// nothing; a denying one matches everything below the level of the mark, to be safe.
    package enum Gap: Sendable {
        case nothing
        case everythingBelow
    }

    /// Nil if it is no valid topic filter, whatever stands for the marks. `%%` is a per cent sign.
    package init?(_ text: String) {
        var bytes: [UInt8] = []
        var sample: [UInt8] = []
        var hasMark = false
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte >= 0x20, byte != 0x7F else { return nil }
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                sample.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "%"):
                bytes.append(byte)
                sample.append(byte)
                continue
            case UInt8(ascii: "c"): bytes.append(Self.clientMark)
            case UInt8(ascii: "u"): bytes.append(Self.userMark)
            case UInt8(ascii: "t"): bytes.append(Self.tenantMark)
            default: return nil
            }
            hasMark = true
            sample.append(UInt8(ascii: "x"))
        }
        guard Self.isFilter(sample) else { return nil }
        self.bytes = bytes
        self.hasMark = hasMark
    }

    private static func isFilter(_ bytes: [UInt8]) -> Bool {
        bytes.withRawSpan { span in
            let filter = try? TopicFilter.parse(
                span, ByteRange(offset: 0, count: span.byteCount), .protocolLimits)
            return filter.map { $0.share == .none } ?? false
        }
    }

    /// Whether the topic lies in a pattern, given as its bytes, as it reads for this client.
    static func matches(
        _ pattern: RawSpan, _ topic: RawSpan, _ client: borrowing AccessIdentity, gap: Gap
    ) -> Bool {
        if topic.byteCount > 0, byte(topic, 0) == UInt8(ascii: "$") {
            let first = byte(pattern, 0)
            if first == UInt8(ascii: "+") || first == UInt8(ascii: "#") { return false }
        }
        return walk(pattern, topic, client, gap)
    }

    private static func walk(
        _ pattern: RawSpan, _ topic: RawSpan, _ client: borrowing AccessIdentity, _ gap: Gap
    ) -> Bool {
        var at = 0
        var place = 0
        while place < pattern.byteCount {
            let wanted = byte(pattern, place)
            switch wanted {
            case UInt8(ascii: "#"): return true
            case UInt8(ascii: "+"):
                while at < topic.byteCount, byte(topic, at) != UInt8(ascii: "/") { at &+= 1 }
            case clientMark, userMark, tenantMark:
                guard client.isSafe(wanted) else {
                    return gap == .everythingBelow
                }
                guard client.isPrefix(wanted, of: topic, at: &at) else { return false }
            default:
                guard at < topic.byteCount else {
                    // `a/#` also matches `a`.
                    return wanted == UInt8(ascii: "/") && place &+ 2 == pattern.byteCount
                        && byte(pattern, place &+ 1) == UInt8(ascii: "#")
                }
                guard byte(topic, at) == wanted else { return false }
                at &+= 1
            }
            place &+= 1
        }
        return at == topic.byteCount
    }

    private static func byte(_ bytes: RawSpan, _ offset: Int) -> UInt8 {
        bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
    }

    /// The filter as it reads for this client, or nil if it means nothing for it.
    package func filter(_ client: borrowing AccessIdentity, gap: Gap) -> [UInt8]? {
        if !hasMark { return bytes }
        var filter: [UInt8] = []
        for byte in bytes {
            guard (Self.clientMark...Self.tenantMark).contains(byte) else {
                filter.append(byte)
                continue
            }
            if client.isSafe(byte) {
                filter += client.bytes(byte)
                continue
            }
            if gap == .nothing { return nil }
            while let last = filter.last, last != UInt8(ascii: "/") { filter.removeLast() }
            return filter + [UInt8(ascii: "#")]
        }
        return filter
    }
}

/// The names of a client as bytes, for rules that put them into filters.
///
/// Points into memory of the caller: made for a call, never stored.
package struct AccessIdentity: ~Copyable {
    let client: UnsafeRawBufferPointer
    let user: UnsafeRawBufferPointer
    let tenant: UnsafeRawBufferPointer
    /// Bit n: the name of mark n can be put into a filter.
    let safe: UInt8

    /// `safe` is what `safeMask` said of the same names; a connection keeps it.
    package init(
        client: UnsafeRawBufferPointer, user: UnsafeRawBufferPointer,
        tenant: UnsafeRawBufferPointer, safe: UInt8
    ) {
        self.client = client
        self.user = user
        self.tenant = tenant
        self.safe = safe
    }

    /// Which of the names can be put into a filter.
    package static func safeMask(
        client: UnsafeRawBufferPointer, user: UnsafeRawBufferPointer,
        tenant: UnsafeRawBufferPointer
    ) -> UInt8 {
        (isSafe(client) ? 1 << FilterPattern.clientMark : 0)
            | (isSafe(user) ? 1 << FilterPattern.userMark : 0)
            | (isSafe(tenant) ? 1 << FilterPattern.tenantMark : 0)
    }

    private static func isSafe(_ name: UnsafeRawBufferPointer) -> Bool {
        for byte in name {
            switch byte {
            case UInt8(ascii: "+"), UInt8(ascii: "#"), UInt8(ascii: "/"), 0: return false
            default: continue
            }
        }
        // A name that begins with $ could open the server's own topics.
        return !name.isEmpty && name[0] != UInt8(ascii: "$")
    }

    func isSafe(_ mark: UInt8) -> Bool { safe &>> mark & 1 == 1 }

    func bytes(_ mark: UInt8) -> UnsafeRawBufferPointer {
        mark == FilterPattern.clientMark
            ? client : mark == FilterPattern.userMark ? user : tenant
    }

    /// Whether the name stands in the topic at this place; moves behind it.
    func isPrefix(_ mark: UInt8, of topic: RawSpan, at offset: inout Int) -> Bool {
        let name = bytes(mark)
        guard topic.byteCount &- offset >= name.count else { return false }
        for index in 0..<name.count {
            let byte = topic.unsafeLoad(
                fromUncheckedByteOffset: offset &+ index, as: UInt8.self)
            if byte != name[index] { return false }
        }
        offset &+= name.count
        return true
    }
}

extension ClientIdentity {
    /// Calls `body` with the names as bytes.
    package func withAccessIdentity<R>(_ body: (borrowing AccessIdentity) -> R) -> R {
        Array(clientID.utf8).withUnsafeBytes { client in
            Array(user.utf8).withUnsafeBytes { user in
                Array(tenant.text.utf8).withUnsafeBytes { tenant in
                    let safe = AccessIdentity.safeMask(client: client, user: user, tenant: tenant)
                    return body(
                        AccessIdentity(client: client, user: user, tenant: tenant, safe: safe))
                }
            }
        }
    }
}
