import Base
import TestKit
import Testing

@Suite("A list of slots")
struct SlotListTests {
    @Test("a list of one costs nothing beside its eight bytes")
    func inline() {
        #expect(MemoryLayout<SlotList>.size == 8, "a session has one of these; see SlotList")
        var list = SlotList()
        // Expectations copy what they look at, which a list is not made for.
        func check(_ wanted: [UInt32], isInline: Bool, _ step: String) {
            let (array, bytes, isEmpty) = (list.array, list.byteCount, list.isEmpty)
            #expect(array == wanted && isEmpty == wanted.isEmpty, "\(step)")
            #expect((bytes == 0) == isInline, "\(step)")
        }
        check([], isInline: true, "empty")
        list.append(0)
        check([0], isInline: true, "one")
        list.append(7)
        check([0, 7], isInline: false, "two")
        list.remove(at: 0)
        check([7], isInline: true, "one again")
        list.remove(at: 0)
        check([], isInline: true, "none again")
        list.append(UInt32(Int32.max))
        check([UInt32(Int32.max)], isInline: true, "the largest")
    }

    @Test("it is a list like any other", arguments: [1, 2, 3] as [UInt64])
    func likeAnArray(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var list = SlotList()
        var model: [UInt32] = []
        for _ in 0..<5_000 {
            switch random.below(20) {
            case 0..<10:
                let number = UInt32(random.below(1 << 31))
                list.append(number)
                model.append(number)
            case 10..<19:
                guard !model.isEmpty else { continue }
                let position = random.below(model.count)
                list.remove(at: position)
                model.swapAt(position, model.count - 1)
                model.removeLast()
            default:
                guard random.below(50) == 0 else { continue }
                list.removeAll()
                model.removeAll()
            }
            let count = list.count
            #expect(count == model.count, "seed \(seed)")
            if random.below(10) == 0 {
                let wanted = model.randomElement(using: &random)
                let array = list.array
                #expect(array == model, "seed \(seed)")
                let page = list.page(from: 3, limit: 4)
                #expect(page == Array(model.dropFirst(3).prefix(4)), "seed \(seed)")
                if let wanted {
                    let found = list.firstIndex(of: wanted)
                    #expect(found == model.firstIndex(of: wanted), "seed \(seed)")
                }
            }
        }
    }
}
