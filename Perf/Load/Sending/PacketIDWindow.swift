/// The closed window of one publisher: packet ids in flight, with their intended times.
///
/// ```
///  free ids: [a b c ... | ]            a stack; empty means that the window is closed
///  times:    by id, with the phase of QoS 2 in the lowest bit
/// ```
/// One allocation of ten bytes for each id, made when the client first publishes. Ids are 1 ...
/// `capacity`. Owned by its publisher, on one loop.
package struct PacketIDWindow {
    private var memory: UnsafeMutablePointer<UInt64>?
    private(set) var capacity: UInt16 = 0
    package private(set) var freeCount: UInt16 = 0

    package init() {}

    package var isOpen: Bool { freeCount > 0 }
    var inFlight: Int { Int(capacity) - Int(freeCount) }

    /// All ids are free again, at most so many.
    package mutating func reset(capacity wanted: Int) {
        let wanted = UInt16(clamping: max(wanted, 1))
        if wanted != capacity {
            free()
            let bytes = Int(wanted) * 10
            memory = .allocate(capacity: (bytes + 7) / 8)
            capacity = wanted
        }
        freeCount = capacity
        for index in 0..<Int(capacity) {
            ids[index] = capacity - UInt16(index)
            times[index] = 0
        }
    }

    package mutating func free() {
        memory?.deallocate()
        memory = nil
        capacity = 0
        freeCount = 0
    }

    /// An id for a message; the window must be open.
    package mutating func take(intended: UInt64) -> UInt16 {
        freeCount -= 1
        let id = ids[Int(freeCount)]
        times[Int(id) - 1] = intended & ~1
        return id
    }

    package enum Step {
        /// The message is done; it was intended for this time.
        case done(intended: UInt64)
        /// QoS 2: PUBREL is owed.
        case released
        /// The id is not in flight, or not in this phase.
        case unknown
    }

    /// PUBACK, PUBCOMP, or a PUBREC that refuses.
    package mutating func finish(_ id: UInt16, wasReleased: Bool) -> Step {
        guard isInFlight(id), (times[Int(id) - 1] & 1 == 1) == wasReleased else {
            return .unknown
        }
        let intended = times[Int(id) - 1]
        times[Int(id) - 1] = 0
        ids[Int(freeCount)] = id
        freeCount += 1
        return .done(intended: intended)
    }

    /// PUBREC: a repeated one is answered again.
    package mutating func release(_ id: UInt16) -> Step {
        guard isInFlight(id) else { return .unknown }
        times[Int(id) - 1] |= 1
        return .released
    }

    private func isInFlight(_ id: UInt16) -> Bool {
        id > 0 && id <= capacity && times[Int(id) - 1] != 0
    }

    private var times: UnsafeMutablePointer<UInt64> { memory.unsafelyUnwrapped }

    private var ids: UnsafeMutablePointer<UInt16> {
        UnsafeMutableRawPointer(memory.unsafelyUnwrapped + Int(capacity))
            .assumingMemoryBound(to: UInt16.self)
    }
}
