import Base
import KV

/// Retained messages of one range: the last one of each topic, found by filter.
///
/// Owned by the worker on which the range's replica is homed. Replicated: topics with versions,
/// expiry and sizes, held in memory (`TopicIndex`), and the records, which stay in the engine and
/// are read page by page. Volatile: the pages whose records are being read. A version is one more
/// than the last, or the range's time times 65,536 if that is more: so it rises over restarts too,
/// although versions of cleared topics are forgotten.
///
/// Quotas travel with the command, as the tenant's share of one range. Nothing is cut off: an
/// answer that is not complete says so and says where to go on.
package final class RetainMachine: RangeMachine {
    var index = TopicIndex()
    private var lastVersion: UInt64 = 0
    /// Range time of the last command.
    package private(set) var time: WallTime = .zero
    private var openPages: [UInt64: OpenPage] = [:]
    private var lastToken: UInt64 = 0
    package private(set) var metrics = RetainMetrics()

    /// Where what tenants hold is counted.
    private let usage: UsageLedger

    package init(usage: UsageLedger = UsageLedger()) { self.usage = usage }

    /// Topics in the range, over all tenants.
    package var topicCount: Int { index.count }
    package var byteCount: Int { index.byteCount }
    /// Topics that will expire.
    package var expiringCount: Int { index.heap.count }
    /// Bytes of topics in use, without what is held for new ones.
    package var liveBytes: Int { index.arena.liveBytes }

    // MARK: Commands

    package func apply(
        _ command: RawSpan, at position: ApplyPosition, output: MachineOutput
    ) {
        time = max(time, position.time)
        var reader = ByteReader(command)
        output.result.append(RetainCommandEncoder.formatVersion)
        guard let count = itemCount(command, &reader) else {
            output.result.append(bigEndian: UInt32(0))
            return
        }
        output.result.append(bigEndian: UInt32(count))
        for _ in 0..<count {
            let result = applyItem(command, &reader, output)
            output.result.append(result.code.rawValue)
            output.result.append(bigEndian: result.version)
            if !result.code.isDone { metrics.refusals += 1 }
        }
    }

    private func itemCount(_ command: RawSpan, _ reader: inout ByteReader) -> Int? {
        do throws(ByteShortage) {
            guard try reader.readUInt8(command) == RetainCommandEncoder.formatVersion else {
                return nil
            }
            let count = Int(try reader.readUInt32(command))
            return count <= RetainLimits.itemsPerCommand ? count : nil
        } catch {
            return nil
        }
    }

    private func applyItem(
        _ command: RawSpan, _ reader: inout ByteReader, _ output: MachineOutput
    ) -> RetainResult {
        do throws(ByteShortage) {
            guard let action = RetainAction(rawValue: try reader.readUInt8(command)) else {
                throw ByteShortage()
            }
            let tenant = command.array(try reader.takeLengthPrefixed16(command))
            switch action {
            case .set: return try set(tenant, command, &reader, output)
            case .clear:
                let topic = try reader.takeLengthPrefixed16(command)
                return clear(tenant, command.extracting(topic.range), output)
            case .expireTenant: return expire(tenant, output)
            }
        } catch {
            // Nothing behind it can be found either.
            reader.offset = reader.end
            return RetainResult(code: .malformed, version: 0)
        }
    }

    private func set(
        _ tenant: [UInt8], _ command: RawSpan, _ reader: inout ByteReader,
        _ output: MachineOutput
    ) throws(ByteShortage) -> RetainResult {
        let topicRange = try reader.takeLengthPrefixed16(command)
        let seconds = try reader.readUInt32(command)
        let topicsMax = try reader.readUInt32(command)
        let bytesMax = try reader.readUInt64(command)
        let record = try reader.takeLengthPrefixed32(command)
        guard !topicRange.isEmpty else { return RetainResult(code: .malformed, version: 0) }
        return command.extracting(topicRange.range).withUnsafeBytes { topic in
            let known = index.tenant(tenant).flatMap { index.find($0, topic) }
            let held = index.tenant(tenant).flatMap { index.tenants[$0] }
            if let refusal = refusal(known, held, record.count, topicsMax, bytesMax) {
                return RetainResult(code: refusal, version: 0)
            }
            let expiry =
                seconds == RetainCommandEncoder.never
                ? WallTime.distantFuture : time.advanced(bySeconds: UInt64(seconds))
            let version = nextVersion()
            count(
                tenant, topics: known == nil ? 1 : 0,
                bytes: Int(record.count) - (known.map { Int(index.recordBytes($0)) } ?? 0))
            index.set(
                tenant, topic, version: version, expiry: expiry, recordBytes: record.count)
            var value = ByteWriter(capacity: RetainKeys.valueHead + Int(record.count))
            value.append(RetainKeys.valueVersion)
            value.append(bigEndian: version)
            value.append(bigEndian: expiry.milliseconds)
            value.append(command.extracting(record.range))
            let key = tenant.withUnsafeBytes { RetainKeys.key(tenant: $0, topic: topic) }
            output.writes.put(
                key: key.span.bytes, value: RawSpan(_unsafeBytes: value.bytes))
            return RetainResult(code: known == nil ? .stored : .replaced, version: version)
        }
    }

    private func refusal(
        _ known: UInt32?, _ held: TopicIndex.Tenant?, _ recordBytes: UInt32,
        _ topicsMax: UInt32, _ bytesMax: UInt64
    ) -> RetainCode? {
        if index.byteCount >= RetainLimits.rangeBytesMax { return .rangeFull }
        if known == nil, (held?.topics ?? 0) >= Int(topicsMax) { return .topicsFull }
        let before = UInt64(known.map { index.recordBytes($0) } ?? 0)
        let after = (held?.bytes ?? 0) - before + UInt64(recordBytes)
        // A record that takes no more room than the one before it is always welcome.
        if after > bytesMax, UInt64(recordBytes) > before { return .bytesFull }
        return nil
    }

    private func clear(
        _ tenant: [UInt8], _ topic: RawSpan, _ output: MachineOutput
    ) -> RetainResult {
        let version = nextVersion()
        let known = topic.withUnsafeBytes { bytes in
            index.tenant(tenant).flatMap { index.find($0, bytes) }
        }
        guard let known else { return RetainResult(code: .absent, version: version) }
        remove(known, output)
        return RetainResult(code: .cleared, version: version)
    }

    private func expire(_ tenant: [UInt8], _ output: MachineOutput) -> RetainResult {
        var left = RetainLimits.expireTenantSlice
        while left > 0, let number = index.tenant(tenant),
            let first = index.entry(number, TopicIndex.Position(block: 0, offset: 0))
        {
            remove(first, output)
            left -= 1
        }
        let rest = index.tenant(tenant).flatMap { index.tenants[$0]?.topics } ?? 0
        return RetainResult(code: .tenantExpired, version: UInt64(rest))
    }

    private func remove(_ entry: UInt32, _ output: MachineOutput) {
        output.writes.delete(key: key(entry))
        count(index.tenantName(entry), topics: -1, bytes: -Int(index.recordBytes(entry)))
        index.remove(entry)
    }

    private func count(_ tenant: [UInt8], topics: Int, bytes: Int) {
        let line = usage.line(of: tenant)
        line.amounts.retainedTopics += topics
        line.amounts.retainedBytes += bytes
    }

    func key(_ entry: UInt32) -> [UInt8] {
        index.tenantName(entry).withUnsafeBytes {
            RetainKeys.key(tenant: $0, topic: index.topic(entry))
        }
    }

    private func nextVersion() -> UInt64 {
        lastVersion = max(lastVersion + 1, time.milliseconds << 16)
        return lastVersion
    }

    // MARK: Expiry

    package var nextDue: WallTime {
        index.firstToExpire.map { index.expiry($0) } ?? .distantFuture
    }

    package func applyDue(at position: ApplyPosition, output: MachineOutput) {
        time = max(time, position.time)
        for _ in 0..<RetainLimits.expirySlice {
            guard let entry = index.firstToExpire, index.expiry(entry) <= time else { return }
            remove(entry, output)
            metrics.expired += 1
        }
    }

    // MARK: Questions

    /// A page whose records are being read.
    private struct OpenPage {
        var ticket: QueryTicket
        /// Empty if the page is the last.
        var cursor: [UInt8]?
        /// The range's last version when the page was chosen.
        var lastVersion: UInt64
    }

    package func query(_ question: RawSpan, ticket: QueryTicket, output: MachineOutput) {
        do throws(ByteShortage) {
            var reader = ByteReader(question)
            let version = try reader.readUInt8(question)
            let op = try reader.readUInt8(question)
            guard version == RetainQuestion.formatVersion else { throw ByteShortage() }
            metrics.questions += 1
            let tenant = question.array(try reader.takeLengthPrefixed16(question))
            if op == RetainQuestion.count {
                answerCount(tenant, ticket, output)
                return
            }
            guard op == RetainQuestion.match || op == RetainQuestion.list else {
                throw ByteShortage()
            }
            let page = try RetainPage(question, &reader, isList: op == RetainQuestion.list)
            answerPage(page, tenant, ticket, output)
        } catch {
            metrics.unreadableMessages += 1
            output.answer(ticket) { $0.append(UInt8(0)) }
        }
    }

    private func answerCount(
        _ tenant: [UInt8], _ ticket: QueryTicket, _ output: MachineOutput
    ) {
        let held = index.tenant(tenant).flatMap { index.tenants[$0] }
        output.answer(ticket) { writer in
            writer.append(RetainQuestion.formatVersion)
            writer.append(RetainQuestion.count)
            writer.append(UInt8(0))
            writer.append(bigEndian: UInt64(held?.topics ?? 0))
            writer.append(bigEndian: held?.bytes ?? 0)
        }
    }

    private func answerPage(
        _ page: RetainPage, _ tenant: [UInt8], _ ticket: QueryTicket, _ output: MachineOutput
    ) {
        let isBusy = !page.isList && openPages.count >= RetainLimits.openReadsMax
        let found = isBusy ? RetainFound() : find(page, tenant)
        if page.isList || found.entries.isEmpty {
            let op = page.isList ? RetainQuestion.list : RetainQuestion.match
            output.answer(ticket) { writer in
                writePageHead(
                    op, found.cursor, isBusy: isBusy, count: found.entries.count, &writer)
                for entry in found.entries {
                    writer.append(bigEndian: index.version(entry))
                    writer.append(bigEndian: index.expiry(entry).milliseconds)
                    writer.append(bigEndian: index.recordBytes(entry))
                    writer.append(lengthPrefixed16: RawSpan(_unsafeBytes: index.topic(entry)))
                }
                writeEnd(found.cursor, lastVersion, &writer)
            }
            return
        }
        lastToken += 1
        openPages[lastToken] = OpenPage(
            ticket: ticket, cursor: found.cursor, lastVersion: lastVersion)
        output.read(lastToken, keys: found.entries.map { key($0) })
    }

    package func completeRead(_ token: UInt64, values: [[UInt8]?], output: MachineOutput) {
        guard let page = openPages.removeValue(forKey: token) else { return }
        // A topic that was cleared meanwhile is left out; one that was set is as it is now.
        let present = values.compactMap { $0 }.filter { $0.count >= RetainKeys.valueHead }
        output.answer(page.ticket) { writer in
            writePageHead(
                RetainQuestion.match, page.cursor, isBusy: false, count: present.count, &writer)
            for value in present {
                // Version and expiry stand in the answer as in the value.
                writer.append(value.span.bytes.extracting(1..<RetainKeys.valueHead))
                writer.append(
                    lengthPrefixed32: value.span.bytes.extracting(
                        RetainKeys.valueHead..<value.count))
            }
            writeEnd(page.cursor, page.lastVersion, &writer)
        }
    }

    private func writePageHead(
        _ op: UInt8, _ cursor: [UInt8]?, isBusy: Bool, count: Int, _ writer: inout ByteWriter
    ) {
        writer.append(RetainQuestion.formatVersion)
        writer.append(op)
        writer.append(
            (cursor == nil ? 0 : RetainQuestion.more) | (isBusy ? RetainQuestion.busy : 0))
        writer.append(bigEndian: UInt32(count))
    }

    private func writeEnd(
        _ cursor: [UInt8]?, _ lastVersion: UInt64, _ writer: inout ByteWriter
    ) {
        // A place behind the longest topic is cut: what lies between is looked at again.
        writer.append(lengthPrefixed16: Array((cursor ?? []).prefix(0xFFFF)))
        writer.append(bigEndian: lastVersion)
    }

    // MARK: The rest of the contract

    package func receive(
        _ kind: MessageKind, _ body: RawSpan, from place: Place, output: MachineOutput
    ) {
        // Nobody sends messages to retained messages.
    }

    package func leadershipChanged(_ position: ApplyPosition?, output: MachineOutput) {
        openPages.removeAll()
    }

    package func load(key: RawSpan, value: RawSpan) {
        guard let (tenant, topic) = RetainKeys.decode(key),
            value.byteCount >= RetainKeys.valueHead,
            value.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == RetainKeys.valueVersion
        else {
            metrics.unreadablePairs += 1
            return
        }
        let version = UInt64(
            bigEndian: value.unsafeLoadUnaligned(fromByteOffset: 1, as: UInt64.self))
        let expiry = UInt64(
            bigEndian: value.unsafeLoadUnaligned(fromByteOffset: 9, as: UInt64.self))
        lastVersion = max(lastVersion, version)
        count(tenant, topics: 1, bytes: value.byteCount - RetainKeys.valueHead)
        topic.withUnsafeBytes {
            index.set(
                tenant, $0, version: version, expiry: WallTime(milliseconds: expiry),
                recordBytes: UInt32(value.byteCount - RetainKeys.valueHead))
        }
    }

    /// Every topic has one key, so any key lies between two topics.
    package func splitKey(near key: [UInt8]) -> [UInt8]? { key }

    package var middleKey: [UInt8]? {
        let step = max(1, index.count / RetainLimits.middleSamples)
        var samples: [[UInt8]] = []
        var passed = 0
        index.forEach { entry in
            passed += 1
            if passed % step == 0 { samples.append(key(entry)) }
        }
        guard samples.count > 1 else { return nil }
        samples.sort { KeyOrder.compare($0, $1) < 0 }
        return samples[samples.count / 2]
    }

    package func splitOff(at key: [UInt8], output: MachineOutput) -> any RangeMachine {
        let other = RetainMachine(usage: usage)
        other.time = time
        other.lastVersion = lastVersion
        var moving: [UInt32] = []
        index.forEach { entry in
            if KeyOrder.compare(self.key(entry), key) >= 0 { moving.append(entry) }
        }
        for entry in moving {
            other.index.set(
                index.tenantName(entry), index.topic(entry), version: index.version(entry),
                expiry: index.expiry(entry), recordBytes: index.recordBytes(entry))
            index.remove(entry)
        }
        return other
    }
}

/// Counts what a retain machine has done; read by the metrics page.
package struct RetainMetrics: Equatable, Sendable {
    package var refusals: UInt64 = 0
    package var expired: UInt64 = 0
    package var questions: UInt64 = 0
    package var unreadablePairs: UInt64 = 0
    package var unreadableMessages: UInt64 = 0
}
