import Base

/// Which range holds which key: the descriptors of every store, sorted by start, never overlapping.
///
/// A value, copied to whoever routes by it. It may have holes while news are under way; a key in a
/// hole has no range yet. Grows with the number of ranges alone.
package struct RangeMap: Sendable {
    /// By raw value of the store.
    private var stores: [[RangeDescriptor]]

    package init(_ descriptors: [RangeDescriptor] = []) {
        let highest = StoreKind.allCases.map(\.rawValue).max() ?? 0
        stores = Array(repeating: [], count: Int(highest) + 1)
        insert(descriptors)
    }

    /// The ranges of a store in key order.
    package subscript(_ store: StoreKind) -> [RangeDescriptor] { stores[Int(store.rawValue)] }

    package var all: [RangeDescriptor] { stores.flatMap { $0 } }

    package func descriptor(_ store: StoreKind, at key: [UInt8]) -> RangeDescriptor? {
        let list = stores[Int(store.rawValue)]
        let index = firstBehind(key, in: list) - 1
        guard index >= 0, list[index].bounds.contains(key) else { return nil }
        return list[index]
    }

    package func descriptor(_ id: RangeID) -> RangeDescriptor? {
        stores[Int(id.store.rawValue)].first { $0.id == id }
    }

    /// The ranges that share keys with `bounds`, in key order.
    package func overlapping(_ store: StoreKind, _ bounds: KeyBounds) -> [RangeDescriptor] {
        guard !bounds.isEmpty else { return [] }
        let list = stores[Int(store.rawValue)]
        var index = max(firstBehind(bounds.start, in: list) - 1, 0)
        var found: [RangeDescriptor] = []
        while index < list.count {
            if let end = bounds.end, KeyOrder.compare(end, list[index].bounds.start) <= 0 { break }
            if list[index].bounds.overlaps(bounds) { found.append(list[index]) }
            index += 1
        }
        return found
    }

    /// The ranges of `bounds` if they cover it without a hole and without reaching beyond it.
    package func tiling(_ store: StoreKind, _ bounds: KeyBounds) -> [RangeDescriptor]? {
        let tiles = overlapping(store, bounds)
        guard tiles.first?.bounds.start == bounds.start, tiles.last?.bounds.end == bounds.end
        else { return nil }
        for (left, right) in zip(tiles, tiles.dropFirst())
        where left.bounds.end != right.bounds.start {
            return nil
        }
        return tiles
    }

    /// Takes what is newer. Returns whether anything changed.
    @discardableResult
    package mutating func insert(_ descriptors: [RangeDescriptor]) -> Bool {
        var changed = false
        for descriptor in descriptors.sorted(by: { $0.boundaryVersion < $1.boundaryVersion })
        where insert(descriptor) {
            changed = true
        }
        return changed
    }

    private mutating func insert(_ descriptor: RangeDescriptor) -> Bool {
        let store = Int(descriptor.id.store.rawValue)
        for known in stores[store] {
            if known.id == descriptor.id {
                if !descriptor.isNewer(than: known) { return false }
            } else if known.bounds.overlaps(descriptor.bounds),
                known.boundaryVersion >= descriptor.boundaryVersion
            {
                return false
            }
        }
        stores[store].removeAll {
            $0.id == descriptor.id || $0.bounds.overlaps(descriptor.bounds)
        }
        stores[store].insert(
            descriptor, at: firstBehind(descriptor.bounds.start, in: stores[store]))
        return true
    }

    /// Index of the first range that starts behind `key`.
    private func firstBehind(_ key: [UInt8], in list: [RangeDescriptor]) -> Int {
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if KeyOrder.compare(list[middle].bounds.start, key) <= 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The ranges of a new store, cut evenly by bucket and homed in turn on the node's workers.
    ///
    /// dist gives its last range to the filters with wildcards and cuts the exact ones by bucket;
    /// system is always one range.
    package static func initialRanges(
        store: StoreKind, count: Int, node: NodeID, workers: Int
    ) -> [RangeDescriptor] {
        let boundaries = initialBoundaries(store: store, count: count)
        return boundaries.enumerated().map { index, start in
            RangeDescriptor(
                id: RangeID(store: store, number: UInt64(index) + 1),
                bounds: KeyBounds(
                    start: start,
                    end: index + 1 < boundaries.count ? boundaries[index + 1] : nil),
                leader: Place(node: node, worker: WorkerIndex(UInt16(index % max(workers, 1)))),
                voters: [node])
        }
    }

    private static func initialBoundaries(store: StoreKind, count: Int) -> [[UInt8]] {
        func cuts(_ parts: Int, area: [UInt8]) -> [[UInt8]] {
            (0..<max(parts, 1)).map { part in
                if part == 0 { return [] }
                let bucket = part * 65_536 / parts
                return area + [UInt8(bucket >> 8), UInt8(bucket & 0xFF)]
            }
        }
        switch store {
        case .dist:
            if count < 2 { return [[]] }
            return cuts(count - 1, area: [KeySchema.distExactArea])
                + [[KeySchema.distWildcardArea]]
        case .inbox, .retain: return cuts(count, area: [])
        case .system: return [[]]
        }
    }
}
