import Base
import KV

/// What a question asks of one page.
struct RetainPage {
    var isList: Bool
    var filter: [UInt8]
    var cursor: [UInt8]
    var messagesMax: Int
    var bytesMax: Int

    init(
        _ question: RawSpan, _ reader: inout ByteReader, isList: Bool
    ) throws(ByteShortage) {
        self.isList = isList
        filter = question.array(try reader.takeLengthPrefixed16(question))
        cursor = question.array(try reader.takeLengthPrefixed16(question))
        let messages = Int(try reader.readUInt32(question))
        let bytes = Int(try reader.readUInt32(question))
        messagesMax = min(max(messages, 1), RetainLimits.pageMessages)
        bytesMax = min(bytes, RetainLimits.pageBytes)
    }
}

/// The entries of one page, and where the next one begins.
struct RetainFound {
    var entries: [UInt32] = []
    /// Nil if nothing is left.
    var cursor: [UInt8]?
}

extension RetainMachine {
    /// Leaps through the tenant's topics from the cursor on, until the page is full, the filter is
    /// exhausted or the page's work is done.
    func find(_ page: RetainPage, _ tenant: [UInt8]) -> RetainFound {
        guard let number = index.tenant(tenant), !page.filter.isEmpty else {
            return RetainFound()
        }
        return page.filter.withUnsafeBytes { filter in
            let leap = FilterLeap(filter)
            let start = page.cursor.isEmpty ? leap.first : page.cursor
            return walk(number, leap, from: start, page)
        }
    }

    private func walk(
        _ tenant: Int, _ leap: FilterLeap, from start: [UInt8], _ page: RetainPage
    ) -> RetainFound {
        var found = RetainFound()
        var bytes = 0
        var position = start.withUnsafeBytes { index.lowerBound(tenant, $0) }
        for _ in 0..<RetainLimits.pageVisits {
            guard let entry = index.entry(tenant, position) else { return found }
            let topic = index.topic(entry)
            switch leap.judge(topic) {
            case .matches:
                let size = Int(index.recordBytes(entry))
                let isFull =
                    found.entries.count >= page.messagesMax
                    || (!page.isList && !found.entries.isEmpty && bytes + size > page.bytesMax)
                if isFull {
                    found.cursor = [UInt8](topic)
                    return found
                }
                if index.expiry(entry) > time {
                    found.entries.append(entry)
                    bytes += size
                }
                if leap.isExact { return found }
                position = index.next(tenant, position)
            case .next(let target):
                position = target.withUnsafeBytes { index.lowerBound(tenant, $0) }
            }
        }
        found.cursor = index.entry(tenant, position).map { [UInt8](index.topic($0)) }
        return found
    }
}
