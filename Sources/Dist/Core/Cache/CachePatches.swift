import Base
import KV
import MQTT

/// A patch of a filter with wildcards, kept for topics that have not been compared with it.
struct CachedPatch {
    var range: RangeID
    var number: UInt64
    var tenant: UInt32
    /// The item as it came.
    var item: [UInt8]
}

/// How far one range's patches are in force here.
struct PatchProgress {
    var stamp: DistRangeStamp
    var home: Place
    var number: UInt64
    var isTold: Bool
}

/// The names of the tenants that were ever asked about, by this worker's numbers.
///
/// Patches name tenants by bytes. A tenant that nobody asked about has no entries here. Grows with
/// the tenants that publish on this worker.
struct CachedTenants {
    private var numbers: [[UInt8]: UInt32] = [:]
    private var last: (name: [UInt8], number: UInt32)?

    mutating func learn(_ name: [UInt8], _ number: UInt32) {
        if numbers[name] == number { return }
        numbers[name] = number
        last = nil
    }

    mutating func number(_ name: UnsafeRawBufferPointer) -> UInt32? {
        if let last, last.name.elementsEqual(name) { return last.number }
        let name = [UInt8](name)
        guard let number = numbers[name] else { return nil }
        last = (name, number)
        return number
    }
}

extension RouteCache {
    /// Puts a `routePatch` message from a machine of this node in force. `from` is told by
    /// `tellProgress`, at the end of the turn.
    package mutating func applyPatch(_ body: RawSpan, from home: Place) {
        var reader = ByteReader(body)
        do throws(ByteShortage) {
            let stamp = try DistRangeStamp(body, reader: &reader)
            guard try reader.readUInt8(body) == RoutePatch.formatVersion else {
                metrics.unreadableMessages += 1
                return
            }
            let first = try reader.readUInt64(body)
            let count = UInt64(try reader.readUInt32(body))
            note(stamp, home, first: first, count: count)
            for number in first..<first + count {
                try applyItem(body, &reader, stamp.range, number)
            }
            metrics.patches += count
        } catch {
            // What cannot be read may have been anything.
            metrics.unreadableMessages += 1
            forgetEverything()
        }
    }

    /// Tells each range how far its patches are in force: `routePatchApplied`, one per range.
    package mutating func tellProgress(_ outbox: Outbox) {
        let noKey: [UInt8] = []
        for index in progress.indices where !progress[index].isTold {
            progress[index].isTold = true
            let known = progress[index]
            outbox.send(.routePatchApplied, to: known.home) { writer in
                // No key: if the range is gone, nobody waits for its patches.
                MachineMessage.encodeHead(
                    range: known.stamp.range, boundaryVersion: known.stamp.boundaryVersion,
                    key: noKey.span.bytes, into: &writer)
                known.stamp.encode(into: &writer)
                writer.append(bigEndian: known.number)
            }
        }
    }

    /// Notes how far a range is. A gap means that something is not known: all is asked anew.
    private mutating func note(
        _ stamp: DistRangeStamp, _ home: Place, first: UInt64, count: UInt64
    ) {
        let next = PatchProgress(
            stamp: stamp, home: home, number: first + count - 1, isTold: false)
        guard let index = progress.firstIndex(where: { $0.stamp.range == stamp.range }) else {
            // The half of a cut range goes on counting, and begins without items: what it counted
            // before came under the whole's name, on this same way.
            if first != 1, count > 0 { forgetEverything() }
            progress.append(next)
            return
        }
        if progress[index].number + 1 != first { forgetEverything() }
        progress[index] = next
    }

    private mutating func applyItem(
        _ body: RawSpan, _ reader: inout ByteReader, _ range: RangeID, _ number: UInt64
    ) throws(ByteShortage) {
        let start = reader.offset
        let item = try body.withUnsafeBytes { base throws(ByteShortage) in
            try RouteItem(base, body, reader: &reader)
        }
        if item.action == .fence {
            forgetEverything()
            return
        }
        guard let tenant = tenants.number(item.tenant) else { return }
        let bytes = ByteRange(offset: start, count: reader.offset - start)
        if FilterShape(item.filter) == .wildcard {
            let patch = CachedPatch(
                range: range, number: number, tenant: tenant, item: body.array(bytes))
            wildcardSequence += 1
            let place = Int(wildcardSequence % Self.ringSize)
            if ring.count <= place {
                // The ring fills from its second place on, since numbers begin with 1.
                while ring.count <= place { ring.append(patch) }
            } else {
                ring[place] = patch
            }
            return
        }
        let entry = find(tenant, item.filter)
        if entry == 0 { return }
        if state(entry) == Entry.pending {
            questions.keep(
                CachedPatch(range: range, number: number, tenant: tenant, item: body.array(bytes)),
                with: QuestionID(value(entry)), max: limits.questionPatchesMax)
        } else if catchUp(entry), plan(entry).byteCount <= limits.patchedPlanBytesMax {
            patchPlan(entry) { $0.apply(item) }
        } else {
            drop(entry)
            metrics.droppedPlans += 1
        }
    }

    /// Compares a ready entry with the wildcard patches that came since it was last checked, and
    /// applies those that match its topic. False if it must be dropped instead.
    mutating func catchUp(_ entry: UInt32) -> Bool {
        let since = checked(entry)
        if since == wildcardSequence { return true }
        guard wildcardSequence - since <= Self.ringSize else { return false }
        let matching = patches(since: since, tenant: tenant(entry), topic: topic(entry))
        setChecked(entry)
        if matching.isEmpty { return true }
        guard plan(entry).byteCount <= limits.patchedPlanBytesMax else {
            metrics.droppedPlans += 1
            return false
        }
        patchPlan(entry) { draft in
            for patch in matching { patch.withItem { draft.apply($0) } }
        }
        return true
    }

    /// The patches behind number `since` whose filter matches a topic, oldest first.
    func patches(
        since: UInt64, tenant: UInt32, topic: UnsafeRawBufferPointer
    ) -> [CachedPatch] {
        var matching: [CachedPatch] = []
        var number = since
        while number < wildcardSequence {
            number += 1
            let position = Int(number % Self.ringSize)
            guard ring[position].tenant == tenant else { continue }
            let matches = ring[position].withItem {
                TopicMatch.matches(filter: $0.filter, topic: topic)
            }
            if matches == true { matching.append(ring[position]) }
        }
        return matching
    }

    private mutating func patchPlan(_ entry: UInt32, _ change: (inout PlanDraft) -> Void) {
        var draft = PlanDraft(plan(entry), own: own)
        change(&draft)
        setPlan(entry, draft.plan(own: own))
        metrics.patchedPlans += 1
    }

    private mutating func forgetEverything() {
        dropPlans()
        questions.beginAllAgain()
    }
}

extension CachedPatch {
    /// Calls `body` with the item, in place; nil if it cannot be read, which it could be when it
    /// came.
    func withItem<R>(_ body: (RouteItem) -> R) -> R? {
        item.withUnsafeBytes { base -> R? in
            let span = RawSpan(_unsafeBytes: base)
            var reader = ByteReader(span)
            do throws(ByteShortage) {
                return body(try RouteItem(base, span, reader: &reader))
            } catch {
                return nil
            }
        }
    }
}
