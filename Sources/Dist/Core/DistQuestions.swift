import Base
import KV

/// Answering questions, and where a range may be cut.
extension DistMachine {
    package func query(_ question: RawSpan, ticket: QueryTicket, output: MachineOutput) {
        output.answer(ticket) { writer in
            writer.append(DistQuestion.formatVersion)
            var reader = ByteReader(question)
            do throws(ByteShortage) {
                let version = try reader.readUInt8(question)
                let op = try reader.readUInt8(question)
                writer.append(version == DistQuestion.formatVersion ? op : 0)
                options.stamp.encode(into: &writer)
                guard version == DistQuestion.formatVersion else { return }
                switch op {
                case DistQuestion.match: try answerMatch(question, &reader, &writer)
                case DistQuestion.count:
                    writer.append(bigEndian: UInt64(routeCount))
                    writer.append(bigEndian: UInt64(filterCount))
                    writer.append(bigEndian: UInt64(byteCount))
                default: break
                }
            } catch {
                noteUnreadable()
            }
        }
    }

    private func answerMatch(
        _ question: RawSpan, _ reader: inout ByteReader, _ writer: inout ByteWriter
    ) throws(ByteShortage) {
        noteQuestion()
        let asked = Int(try reader.readUInt32(question))
        writer.append(bigEndian: patchNumber)
        let mark = writer.count
        writer.append(bigEndian: UInt32(0))
        let start = writer.count
        var visits = DistLimits.answerVisits
        var answered = 0
        while answered < asked {
            guard let areas = MatchAreas(rawValue: try reader.readUInt8(question)) else {
                throw ByteShortage()
            }
            let tenant = try reader.takeLengthPrefixed16(question)
            let topic = try reader.takeLengthPrefixed16(question)
            let cursor = try reader.takeLengthPrefixed16(question)
            let bytesLeft = DistLimits.answerBytes - (writer.count - start)
            // A topic that finds the answer full is answered "more" with its own cursor.
            let page = MatchPage(
                bytesEnd: writer.count + min(bytesLeft, options.pageBytes),
                visitsLeft: min(visits, options.pageVisits))
            visits -= answerTopic(
                question, TopicQuestion(areas, tenant, topic, cursor), page,
                isFull: bytesLeft <= 0 || visits <= 0, &writer)
            answered += 1
            writer.patch(bigEndian: UInt32(answered), at: mark)
        }
    }

    /// Writes one topic's part of the answer; returns the trie nodes visited.
    private func answerTopic(
        _ question: RawSpan, _ asked: TopicQuestion, _ page: MatchPage, isFull: Bool,
        _ writer: inout ByteWriter
    ) -> Int {
        let cursor = asked.cursor
        let flags = writer.count
        writer.append(UInt8(0))
        writer.append(bigEndian: UInt32(0))
        if isFull {
            writer.patch(bigEndian: DistQuestion.more, at: flags)
            writer.append(lengthPrefixed16: question.extracting(cursor.range))
            return 0
        }
        var used = page
        // The receivers begin behind flags and length.
        used.bytesEnd += 5
        let next: MatchCursor? = question.withUnsafeBytes { base in
            let bytes = UnsafeRawBufferPointer(rebasing: base[cursor.range])
            let from = cursor.isEmpty ? nil : MatchCursor(bytes)
            if !cursor.isEmpty, from?.layoutNumber != table.layoutNumber {
                writer.patch(bigEndian: DistQuestion.beginAgain, at: flags)
                return nil
            }
            return table.match(
                UnsafeRawBufferPointer(rebasing: base[asked.tenant.range]),
                UnsafeRawBufferPointer(rebasing: base[asked.topic.range]), areas: asked.areas,
                from: from, page: &used, into: &writer)
        }
        writer.patch(bigEndian: UInt32(writer.count - flags - 5), at: flags + 1)
        if let next {
            writer.patch(bigEndian: DistQuestion.more, at: flags)
            notePage(isSpent: used.visitsLeft <= 0)
            var encoded = ByteWriter(capacity: 64)
            next.encode(into: &encoded)
            writer.append(string16: encoded.bytes)
        } else {
            writer.append(bigEndian: UInt16(0))
        }
        return page.visitsLeft - used.visitsLeft
    }

    // MARK: Cutting

    package func splitKey(near key: [UInt8]) -> [UInt8]? { DistKeys.normalised(key) }

    package var middleKey: [UInt8]? {
        let step = max(1, filterCount / DistLimits.middleSamples)
        var samples: [[UInt8]] = []
        var count = 0
        var writer = ByteWriter(capacity: 128)
        table.forEachFilter { _, tenant, filter in
            count += 1
            guard count % step == 0 else { return }
            writer.removeAll()
            DistKeys.append(tenant: tenant, filter: filter, into: &writer)
            samples.append(writer.array)
        }
        guard samples.count > 1 else { return nil }
        samples.sort { KeyOrder.compare($0, $1) < 0 }
        return samples[samples.count / 2]
    }
}

/// One topic of a question, by position.
private struct TopicQuestion {
    var areas: MatchAreas
    var tenant: ByteRange
    var topic: ByteRange
    var cursor: ByteRange

    init(_ areas: MatchAreas, _ tenant: ByteRange, _ topic: ByteRange, _ cursor: ByteRange) {
        self.areas = areas
        self.tenant = tenant
        self.topic = topic
        self.cursor = cursor
    }
}
