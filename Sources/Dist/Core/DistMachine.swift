import Base
import KV

/// What a dist machine is told at its creation.
package struct DistMachineOptions: Sendable {
    /// Range and boundary version, for messages to workers.
    package var stamp: DistRangeStamp
    /// First key of the range.
    package var startKey: [UInt8]
    /// Every worker of this node: they hear of every route.
    package var workers: [Place]
    /// Seed of the tables' keyed hashes: from the system, or the simulator.
    package var seed: UInt64
    /// What one topic's page may hold and cost; tests make them small.
    package var pageBytes = DistLimits.pageBytes
    package var pageVisits = DistLimits.pageVisits

    package init(
        stamp: DistRangeStamp, startKey: [UInt8], workers: [Place], seed: UInt64
    ) {
        self.stamp = stamp
        self.startKey = startKey
        self.workers = workers
        self.seed = seed
    }
}

/// Routes of one range: decides who receives a topic, and tells every worker of its node what
/// changes.
///
/// Owned by the worker on which the range's replica is homed. Replicated: routes and fences. All
/// of it is held in memory (`RouteTable`) and written to the range's keys as it changes. Volatile:
/// patch numbers, and how far each worker has applied them. A SUBSCRIBE is answered only when every
/// worker has (`holdAnswerUntil`), so that no cache answers with what was before.
///
/// ```
///  SUBSCRIBE -> command -> apply -> patch n to every worker -> routePatchApplied n from each
///                             answer held until n  <---------- release(through: n)
/// ```
/// Fenced epochs are ignored at once and swept from memory and keys in slices by `applyDue`. What
/// is left of them is no longer state: which keys a slice deletes first may differ by replica.
package final class DistMachine: RangeMachine {
    package private(set) var options: DistMachineOptions
    var table: RouteTable
    /// Number of the last patch; from 0 with every new machine, but for the half of a cut range,
    /// which goes on counting: answers of the whole may still wait for its patches.
    package private(set) var patchNumber: UInt64 = 0
    /// How far each worker has applied patches, beside `options.workers`.
    private var applied: [UInt64]
    /// The workers are to say once how far they are, although nothing has changed.
    private var asksProgress = false
    private var sweepPhase = SweepPhase.exact
    private var sweepPosition = 0
    /// Items of the patch being collected.
    private var patch = ByteWriter(capacity: 256)
    private var patchCount: UInt32 = 0
    private var keyWriter = ByteWriter(capacity: 128)
    private var valueWriter = ByteWriter(capacity: 32)
    package private(set) var metrics = DistMetrics()

    package init(_ options: DistMachineOptions) {
        self.options = options
        table = RouteTable(seed: options.seed)
        applied = Array(repeating: 0, count: options.workers.count)
    }

    package func rangeChanged(_ descriptor: RangeDescriptor) {
        options.stamp = DistRangeStamp(
            range: descriptor.id, boundaryVersion: descriptor.boundaryVersion)
        options.startKey = descriptor.bounds.start
    }

    /// Routes in memory, those of fenced epochs not yet swept included.
    package var routeCount: Int { table.routeCount }
    package var filterCount: Int { table.filterCount }
    package var byteCount: Int { table.byteCount }
    /// Bytes of routes in use, without what is held for new ones.
    package var liveBytes: Int { table.arena.liveBytes }

    // MARK: Commands

    package func apply(
        _ command: RawSpan, at position: ApplyPosition, output: MachineOutput
    ) {
        command.withUnsafeBytes { base in
            var reader = ByteReader(command)
            output.result.append(RouteCommandEncoder.formatVersion)
            guard let count = itemCount(command, &reader) else {
                output.result.append(bigEndian: UInt32(0))
                return
            }
            output.result.append(bigEndian: UInt32(count))
            for _ in 0..<count {
                let code = applyItem(base, command, &reader, output)
                output.result.append(code.rawValue)
            }
        }
        sendPatch(output)
        if patchNumber > appliedEverywhere { output.holdAnswerUntil = patchNumber }
    }

    private func itemCount(_ command: RawSpan, _ reader: inout ByteReader) -> Int? {
        do throws(ByteShortage) {
            guard try reader.readUInt8(command) == RouteCommandEncoder.formatVersion else {
                return nil
            }
            let count = Int(try reader.readUInt32(command))
            return count <= DistLimits.itemsPerCommand ? count : nil
        } catch {
            return nil
        }
    }

    private func applyItem(
        _ base: UnsafeRawBufferPointer, _ command: RawSpan, _ reader: inout ByteReader,
        _ output: MachineOutput
    ) -> RouteCode {
        let item: RouteItem
        do throws(ByteShortage) {
            item = try RouteItem(base, command, reader: &reader)
        } catch {
            // Nothing behind it can be found either.
            reader.offset = reader.end
            return .malformed
        }
        switch item.action {
        case .add: return add(item, output)
        case .remove: return remove(item, output)
        case .fence: return fence(item, output)
        }
    }

    private func add(_ item: RouteItem, _ output: MachineOutput) -> RouteCode {
        let outcome = table.add(item)
        switch outcome.code {
        case .added, .replaced:
            write(item, output)
            if outcome.code == .replaced, !item.isStored {
                var old = item
                old.action = .remove
                old.token = outcome.oldToken
                collect(old)
            }
            collect(item)
        case .unchanged, .removed, .absent, .epochFenced: break
        case .groupFull, .epochVoid, .malformed, .rangeFull: metrics.refusals += 1
        }
        return outcome.code
    }

    private func remove(_ item: RouteItem, _ output: MachineOutput) -> RouteCode {
        let outcome = table.remove(item)
        if outcome.code == .removed {
            delete(item, &output.writes)
            collect(item)
        }
        return outcome.code
    }

    private func fence(_ item: RouteItem, _ output: MachineOutput) -> RouteCode {
        guard table.places.fence(item.place.node, through: item.epoch) else { return .unchanged }
        writeFence(item.place.node, item.epoch, output)
        collect(item)
        return .epochFenced
    }

    // MARK: Keys

    private func write(_ item: RouteItem, _ output: MachineOutput) {
        writeKey(item)
        valueWriter.removeAll()
        DistKeys.appendValue(item, into: &valueWriter)
        output.writes.put(
            key: RawSpan(_unsafeBytes: keyWriter.bytes),
            value: RawSpan(_unsafeBytes: valueWriter.bytes))
    }

    private func delete(_ item: RouteItem, _ writes: inout WriteBatch) {
        writeKey(item)
        writes.delete(key: RawSpan(_unsafeBytes: keyWriter.bytes))
    }

    private func writeKey(_ item: RouteItem) {
        keyWriter.removeAll()
        DistKeys.append(tenant: item.tenant, filter: item.filter, into: &keyWriter)
        DistKeys.appendReceiver(item, into: &keyWriter)
    }

    private func writeFence(
        _ node: NodeID, _ epoch: LivenessEpoch, _ output: MachineOutput
    ) {
        keyWriter.removeAll()
        keyWriter.append(options.startKey)
        keyWriter.append(DistKeys.fenceMark)
        keyWriter.append(bigEndian: node.rawValue)
        valueWriter.removeAll()
        valueWriter.append(DistKeys.fenceValue)
        valueWriter.append(bigEndian: epoch.rawValue)
        output.writes.put(key: keyWriter.array, value: valueWriter.array)
    }

    package func load(key: RawSpan, value: RawSpan) {
        if value.byteCount == 9, key.byteCount >= 11,
            value.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == DistKeys.fenceValue
        {
            let node = key.unsafeLoadUnaligned(
                fromByteOffset: key.byteCount - 8, as: UInt64.self)
            let epoch = value.unsafeLoadUnaligned(fromByteOffset: 1, as: UInt64.self)
            _ = table.places.fence(
                NodeID(UInt64(bigEndian: node)),
                through: LivenessEpoch(UInt64(bigEndian: epoch)))
            return
        }
        guard let route = DistKeys.decode(key: key, value: value) else {
            metrics.unreadablePairs += 1
            return
        }
        _ = route.withItem(.add, membersMax: .max) { table.insertLoaded($0) }
    }

    // MARK: Patches

    private func collect(_ item: RouteItem) {
        item.encode(into: &patch)
        patchCount += 1
    }

    /// Sends what was collected to every worker of this node, under the numbers that follow.
    private func sendPatch(_ output: MachineOutput) {
        guard patchCount > 0 || asksProgress else { return }
        asksProgress = false
        for worker in options.workers {
            output.outbox.send(.routePatch, to: worker) { writer in
                options.stamp.encode(into: &writer)
                writer.append(RoutePatch.formatVersion)
                writer.append(bigEndian: patchNumber + 1)
                writer.append(bigEndian: patchCount)
                writer.append(patch.bytes)
            }
        }
        patchNumber += UInt64(patchCount)
        metrics.patches += UInt64(patchCount)
        patch.removeAll()
        patchCount = 0
    }

    private var appliedEverywhere: UInt64 { applied.min() ?? patchNumber }

    package func receive(
        _ kind: MessageKind, _ body: RawSpan, from place: Place, output: MachineOutput
    ) {
        guard kind == .routePatchApplied, let index = options.workers.firstIndex(of: place)
        else { return }
        var reader = ByteReader(body)
        do throws(ByteShortage) {
            let stamp = try DistRangeStamp(body, reader: &reader)
            let number = try reader.readUInt64(body)
            guard stamp.range == options.stamp.range, number <= patchNumber else { return }
            let before = appliedEverywhere
            applied[index] = max(applied[index], number)
            if appliedEverywhere > before { output.release(through: appliedEverywhere) }
        } catch {
            metrics.unreadableMessages += 1
        }
    }

    // MARK: Sweeping

    package var nextDue: WallTime {
        table.places.fencedRoutes > 0 || asksProgress ? .zero : .distantFuture
    }

    package func applyDue(at position: ApplyPosition, output: MachineOutput) {
        if asksProgress { sendPatch(output) }
        var left = DistLimits.sweepSlice
        while left > 0, table.places.fencedRoutes > 0 {
            if sweepPosition >= table.slotCount(sweepPhase) { nextSweepPhase() }
            let before = table.routeCount
            for location in table.locations(phase: sweepPhase, position: sweepPosition)
            where location.slot.pointee != 0 {
                left -= table.clear(location, onlyFenced: true) { delete($0, &output.writes) }
            }
            // A removal may have moved another filter to this very position: look again.
            if table.routeCount == before { sweepPosition += 1 }
            left -= 1
        }
    }

    private func nextSweepPhase() {
        sweepPosition = 0
        switch sweepPhase {
        case .exact: sweepPhase = .children
        case .children: sweepPhase = .tenants
        case .tenants: sweepPhase = .exact
        }
    }

    // MARK: Counting

    func noteQuestion() { metrics.questions += 1 }

    func notePage(isSpent: Bool) {
        metrics.fullPages += 1
        if isSpent { metrics.spentPages += 1 }
    }

    func noteUnreadable() { metrics.unreadableMessages += 1 }

    // MARK: The rest of the contract

    package func completeRead(_ token: UInt64, values: [[UInt8]?], output: MachineOutput) {
        // Nothing is read: every route is in memory.
    }

    package func leadershipChanged(_ position: ApplyPosition?, output: MachineOutput) {
        // Patches go to this node's workers whoever leads.
    }

    package func splitOff(at key: [UInt8], output: MachineOutput) -> any RangeMachine {
        var options = options
        options.startKey = key
        let other = DistMachine(options)
        other.patchNumber = patchNumber
        other.asksProgress = patchNumber > 0
        for (node, epoch) in table.places.fences.sorted(by: { $0.key < $1.key }) {
            _ = other.table.places.fence(node, through: epoch)
            other.writeFence(node, epoch, output)
        }
        var moving: [(tenant: [UInt8], filter: [UInt8])] = []
        table.forEachFilter { _, tenant, filter in
            keyWriter.removeAll()
            DistKeys.append(tenant: tenant, filter: filter, into: &keyWriter)
            let isMoving = key.withUnsafeBytes { KeyOrder.compare($0, keyWriter.bytes) <= 0 }
            if isMoving { moving.append(([UInt8](tenant), [UInt8](filter))) }
        }
        for (tenant, filter) in moving { move(tenant, filter, to: other) }
        return other
    }

    private func move(_ tenant: [UInt8], _ filter: [UInt8], to other: DistMachine) {
        tenant.withUnsafeBytes { tenant in
            filter.withUnsafeBytes { filter in
                let isExact = FilterShape(filter) == .exact
                guard let location = table.find(tenant, filter, isExact: isExact) else { return }
                _ = table.clear(location, onlyFenced: false) { item in
                    var item = item
                    item.membersMax = .max
                    _ = other.table.insertLoaded(item)
                }
            }
        }
    }
}

/// Counts what a dist machine has done; read by the metrics page.
package struct DistMetrics: Equatable, Sendable {
    package var patches: UInt64 = 0
    package var refusals: UInt64 = 0
    package var questions: UInt64 = 0
    /// Pages that ended before their topic was done.
    package var fullPages: UInt64 = 0
    /// Pages that ended because the work of one page was spent, not its bytes.
    package var spentPages: UInt64 = 0
    package var unreadablePairs: UInt64 = 0
    package var unreadableMessages: UInt64 = 0
}

/// Route patches, from a machine to the workers of its node, and their acknowledgement.
///
/// ```
///  routePatch:         stamp, version u8 (1), number of the first item u64, count u32, items
///                      (RouteItem; an addition replaces what its receiver had before; without
///                      items it only asks for the acknowledgement of what came before)
///  routePatchApplied:  head (MachineMessage), stamp, number of the last patch in force u64
/// ```
package enum RoutePatch {
    package static let formatVersion: UInt8 = 1
}
