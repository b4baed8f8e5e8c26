/// A list of 31-bit numbers that costs eight bytes while it has at most one: what a session keeps
/// of its filters, of which most sessions have one.
///
/// ```
///  word:   0 empty | number << 1 | 1: the only one | address of a block
///  block:  count u32 | capacity u32 | numbers u32 ...        doubled when full
/// ```
/// The order of numbers is that of appending until one is removed: the last takes its place. The
/// owner bounds the count.
package struct SlotList: ~Copyable {
    private static let headerWords = 2
    private static let firstCapacity = 4

    private var word: UInt = 0

    package init() {}

    deinit { block?.deallocate() }

    private var block: UnsafeMutablePointer<UInt32>? {
        word & 1 == 1 ? nil : UnsafeMutablePointer(bitPattern: word)
    }

    package var count: Int {
        if let block { return Int(block[0]) }
        return word == 0 ? 0 : 1
    }

    package var isEmpty: Bool { word == 0 }

    /// Bytes beside the list itself.
    package var byteCount: Int { block.map { (Self.headerWords + Int($0[1])) * 4 } ?? 0 }

    package subscript(position: Int) -> UInt32 {
        invariant(position >= 0 && position < count, "position \(position) of \(count)")
        if let block { return block[Self.headerWords + position] }
        return UInt32(truncatingIfNeeded: word >> 1)
    }

    /// A copy, for those who change the list while they walk.
    package var array: [UInt32] { (0..<count).map { self[$0] } }

    /// Up to `limit` numbers from a position on.
    package func page(from start: Int, limit: Int) -> [UInt32] {
        let end = min(count, start + limit)
        return start < end ? (start..<end).map { self[$0] } : []
    }

    package func firstIndex(of number: UInt32) -> Int? {
        for position in 0..<count where self[position] == number { return position }
        return nil
    }

    package mutating func append(_ number: UInt32) {
        invariant(number < 1 << 31, "number \(number) has 32 bits")
        if word == 0 {
            word = UInt(number) << 1 | 1
            return
        }
        let count = count
        let capacity = block.map { Int($0[1]) } ?? 1
        let place = count < capacity ? block : nil
        let target = place ?? grown(to: max(capacity * 2, Self.firstCapacity))
        target[Self.headerWords + count] = number
        target[0] = UInt32(count + 1)
    }

    private mutating func grown(to capacity: Int) -> UnsafeMutablePointer<UInt32> {
        let count = count
        let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: Self.headerWords + capacity)
        larger[0] = UInt32(count)
        larger[1] = UInt32(capacity)
        for position in 0..<count { larger[Self.headerWords + position] = self[position] }
        block?.deallocate()
        word = UInt(bitPattern: larger)
        return larger
    }

    /// The last number takes the place of the one removed.
    package mutating func remove(at position: Int) {
        let count = count
        invariant(position >= 0 && position < count, "position \(position) of \(count)")
        guard let block else {
            word = 0
            return
        }
        block[Self.headerWords + position] = block[Self.headerWords + count - 1]
        block[0] = UInt32(count - 1)
        guard count - 1 <= 1 else { return }
        let last = block[Self.headerWords]
        block.deallocate()
        word = count == 1 ? 0 : UInt(last) << 1 | 1
    }

    package mutating func removeAll() {
        block?.deallocate()
        word = 0
    }
}
