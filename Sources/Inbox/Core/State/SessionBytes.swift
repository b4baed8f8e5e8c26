import Base

/// The variable part of a session in one allocation: client id, principal, subscriptions.
///
/// ```
///  client id | principal | filter length u16, options u8, subscription id u32, filter | ...
/// ```
struct SessionBytes: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private var clientCount: UInt16
    private var principalCount: UInt16
    private var subscriptionBytes: UInt32 = 0

    init(clientID: UnsafeRawBufferPointer) {
        clientCount = UInt16(clientID.count)
        principalCount = 0
        base = clientID.count == 0 ? nil : .allocate(byteCount: clientID.count, alignment: 8)
        if let start = clientID.baseAddress, clientID.count > 0 {
            base?.copyMemory(from: start, byteCount: clientID.count)
        }
    }

    deinit { base?.deallocate() }

    private var head: Int { Int(clientCount) + Int(principalCount) }
    var byteCount: Int { head + Int(subscriptionBytes) }

    private func part(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        guard let base, count > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + offset, count: count)
    }

    var clientID: UnsafeRawBufferPointer { part(0, Int(clientCount)) }
    var principal: UnsafeRawBufferPointer { part(Int(clientCount), Int(principalCount)) }
    var subscriptions: UnsafeRawBufferPointer { part(head, Int(subscriptionBytes)) }

    /// Replaces `count` bytes at `offset` by `bytes`, in a new allocation of the exact size.
    private mutating func splice(
        _ offset: Int, _ count: Int, _ bytes: UnsafeRawBufferPointer
    ) {
        let total = byteCount
        let size = total - count + bytes.count
        let old = base
        base = size == 0 ? nil : .allocate(byteCount: size, alignment: 8)
        if let base {
            if let old {
                base.copyMemory(from: old, byteCount: offset)
                (base + offset + bytes.count).copyMemory(
                    from: old + offset + count, byteCount: total - offset - count)
            }
            if let start = bytes.baseAddress, bytes.count > 0 {
                (base + offset).copyMemory(from: start, byteCount: bytes.count)
            }
        }
        old?.deallocate()
    }

    mutating func setPrincipal(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes {
            if equal($0, principal) { return }
            splice(Int(clientCount), Int(principalCount), $0)
            principalCount = UInt16($0.count)
        }
    }

    mutating func removeSubscriptions() {
        splice(head, Int(subscriptionBytes), UnsafeRawBufferPointer(start: nil, count: 0))
        subscriptionBytes = 0
    }

    /// Position of a filter's record behind the head, or nil.
    private func position(of filter: [UInt8]) -> Int? {
        let bytes = subscriptions
        var offset = 0
        while offset < bytes.count {
            let count = Self.filterCount(bytes, offset)
            if count == filter.count,
                filter.withUnsafeBytes({
                    equal(
                        $0, UnsafeRawBufferPointer(rebasing: bytes[offset + 7..<offset + 7 + count])
                    )
                })
            {
                return offset
            }
            offset += 7 + count
        }
        return nil
    }

    private static func filterCount(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int {
        Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
    }

    func subscription(_ filter: [UInt8]) -> StoredSubscription? {
        guard let offset = position(of: filter) else { return nil }
        return Self.subscription(subscriptions, offset)
    }

    private static func subscription(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int
    ) -> StoredSubscription {
        let count = filterCount(bytes, offset)
        return StoredSubscription(
            filter: [UInt8](bytes[offset + 7..<offset + 7 + count]), options: bytes[offset + 2],
            subscriptionID: UInt32(
                bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 3, as: UInt32.self)))
    }

    /// Calls `body` with each subscription until it returns false.
    func forEachSubscription(_ body: (StoredSubscription) -> Bool) {
        let bytes = subscriptions
        var offset = 0
        while offset < bytes.count {
            if !body(Self.subscription(bytes, offset)) { return }
            offset += 7 + Self.filterCount(bytes, offset)
        }
    }

    /// Adds a subscription in the order of filters, or replaces that of the same filter.
    ///
    /// Sorted, so that a rebuilt session lists them in the same order as one that lived on.
    mutating func putSubscription(_ subscription: StoredSubscription) {
        removeSubscription(subscription.filter)
        var writer = ByteWriter(capacity: subscription.filter.count + 7)
        writer.append(bigEndian: UInt16(subscription.filter.count))
        writer.append(subscription.options)
        writer.append(bigEndian: subscription.subscriptionID)
        writer.append(subscription.filter)
        var offset = 0
        let bytes = subscriptions
        while offset < bytes.count {
            let count = Self.filterCount(bytes, offset)
            let there = UnsafeRawBufferPointer(rebasing: bytes[offset + 7..<offset + 7 + count])
            if subscription.filter.withUnsafeBytes({ precedes($0, there) }) { break }
            offset += 7 + count
        }
        splice(head + offset, 0, writer.bytes)
        subscriptionBytes += UInt32(writer.count)
    }

    @discardableResult
    mutating func removeSubscription(_ filter: [UInt8]) -> Bool {
        guard let offset = position(of: filter) else { return false }
        splice(head + offset, 7 + filter.count, UnsafeRawBufferPointer(start: nil, count: 0))
        subscriptionBytes -= UInt32(7 + filter.count)
        return true
    }
}
