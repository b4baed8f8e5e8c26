import Base

/// Routes: which range has a key, and what becomes of a lane when its range is cut.
extension RangeClient {
    func route(_ store: StoreKind, _ key: [UInt8]) -> ClientRoute? {
        key.withRawSpan { route(store, $0) }
    }

    func route(_ store: StoreKind, _ key: RawSpan) -> ClientRoute? {
        let index = key.withUnsafeBytes { bytes in
            lastRoute(store, atOrBefore: bytes)
        }
        guard index >= 0 else { return nil }
        let route = routes[Int(store.rawValue)][index]
        guard let end = route.descriptor.bounds.end else { return route }
        return KeyOrder.compare(end, key) > 0 ? route : nil
    }

    /// Index of the last route that starts at or before the key; -1 if there is none.
    private func lastRoute(_ store: StoreKind, atOrBefore key: UnsafeRawBufferPointer) -> Int {
        let list = routes[Int(store.rawValue)]
        let prefix = KeyOrder.prefix(key)
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            let starts = list[middle].prefix
            let isBefore =
                starts != prefix
                ? starts < prefix
                : list[middle].descriptor.bounds.start.withUnsafeBytes {
                    KeyOrder.compare($0, key) <= 0
                }
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low - 1
    }

    func overlapping(_ store: StoreKind, _ bounds: KeyBounds) -> [ClientRoute] {
        routes[Int(store.rawValue)].filter { $0.descriptor.bounds.overlaps(bounds) }
    }

    /// Takes newer descriptors and lets every route follow that may.
    func learn(_ descriptors: [RangeDescriptor]) {
        guard map.insert(descriptors) else { return }
        for store in Set(descriptors.map(\.id.store)) {
            for descriptor in map[store] where overlapping(store, descriptor.bounds).isEmpty {
                // Nothing was ever proposed to this part: its lane starts at 1.
                replace([], with: [ClientRoute(descriptor: descriptor, nextNumber: 1)], in: store)
            }
            for route in routes[Int(store.rawValue)] { follow(route) }
        }
    }

    func follow(_ route: ClientRoute) {
        let store = route.descriptor.id.store
        if let known = map.descriptor(route.descriptor.id),
            known.boundaryVersion == route.descriptor.boundaryVersion,
            known.isNewer(than: route.descriptor)
        {
            route.descriptor = known
        }
        guard route.inFlight.isEmpty, let tiles = newerTiles(of: route) else { return }
        replace([route], with: route.cut(into: tiles, next: route.nextNumber), in: store)
    }

    func newerTiles(of route: ClientRoute) -> [RangeDescriptor]? {
        guard let tiles = map.tiling(route.descriptor.id.store, route.descriptor.bounds),
            tiles.allSatisfy({ $0.boundaryVersion > route.descriptor.boundaryVersion })
        else { return nil }
        return tiles
    }

    func replace(_ old: [ClientRoute], with new: [ClientRoute], in store: StoreKind) {
        let index = Int(store.rawValue)
        for route in old {
            routes[index].removeAll { $0 === route }
            routeByRange[route.descriptor.id] = new.first
        }
        for route in new {
            let start = route.descriptor.bounds.start
            let position = start.withUnsafeBytes { lastRoute(store, atOrBefore: $0) } + 1
            routes[index].insert(route, at: position)
            routeByRange[route.descriptor.id] = route
            if route.mustResend || !route.waiting.isEmpty { markDirty(route) }
        }
        for route in old {
            for request in route.questions { place(request) }
            route.retire()
        }
    }
}
