import Base

/// Names each (node, worker, epoch) of a range's transient routes by sixteen bits, and knows which
/// epochs are fenced.
///
/// Places are few: nodes times workers, and epochs that are not yet swept. At most
/// `DistLimits.placesMax`.
struct PlaceTable {
    struct Entry {
        var place: Place
        var epoch: LivenessEpoch
        /// Routes that name this place.
        var routes: Int
        var isFenced: Bool
    }

    private struct Key: Hashable {
        var place: Place
        var epoch: LivenessEpoch
    }

    private(set) var entries: [Entry] = []
    private var free: [UInt16] = []
    private var ids: [Key: UInt16] = [:]
    /// The highest fenced epoch of each node that ever had one.
    private(set) var fences: [NodeID: LivenessEpoch] = [:]
    /// Routes whose place is fenced: what is left to be swept.
    private(set) var fencedRoutes = 0
    /// The place that was asked for last: routes come in batches from one place.
    private var last: (key: Key, id: UInt16)?

    var hasRoom: Bool { ids.count < DistLimits.placesMax }

    subscript(id: UInt16) -> Entry { entries[Int(id)] }

    func isFenced(_ node: NodeID, _ epoch: LivenessEpoch) -> Bool {
        guard !fences.isEmpty, let fence = fences[node] else { return false }
        return epoch <= fence
    }

    /// The number of a place, if any route names it.
    mutating func find(_ place: Place, _ epoch: LivenessEpoch) -> UInt16? {
        let key = Key(place: place, epoch: epoch)
        if let last, last.key == key { return last.id }
        guard let id = ids[key] else { return nil }
        last = (key, id)
        return id
    }

    /// The number of a place with one more route. The caller has asked `hasRoom`.
    mutating func retain(_ place: Place, _ epoch: LivenessEpoch) -> UInt16 {
        let id = find(place, epoch) ?? insert(place, epoch)
        entries[Int(id)].routes += 1
        if entries[Int(id)].isFenced { fencedRoutes += 1 }
        return id
    }

    mutating func release(_ id: UInt16) {
        entries[Int(id)].routes -= 1
        if entries[Int(id)].isFenced { fencedRoutes -= 1 }
        guard entries[Int(id)].routes == 0 else { return }
        ids[Key(place: entries[Int(id)].place, epoch: entries[Int(id)].epoch)] = nil
        free.append(id)
        last = nil
    }

    private mutating func insert(_ place: Place, _ epoch: LivenessEpoch) -> UInt16 {
        let entry = Entry(
            place: place, epoch: epoch, routes: 0, isFenced: isFenced(place.node, epoch))
        let id: UInt16
        if let freed = free.popLast() {
            id = freed
            entries[Int(id)] = entry
        } else {
            id = UInt16(entries.count)
            entries.append(entry)
        }
        ids[Key(place: place, epoch: epoch)] = id
        return id
    }

    /// Fences a node's epochs up to `epoch`. False if they were fenced before.
    mutating func fence(_ node: NodeID, through epoch: LivenessEpoch) -> Bool {
        guard !isFenced(node, epoch) else { return false }
        fences[node] = epoch
        for index in entries.indices
        where entries[index].place.node == node && entries[index].epoch <= epoch
            && !entries[index].isFenced && entries[index].routes > 0
        {
            entries[index].isFenced = true
            fencedRoutes += entries[index].routes
        }
        return true
    }
}
