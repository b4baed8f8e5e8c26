/// A growing first-in first-out queue of plain values, addressed by position from the head.
///
/// Capacity is a power of two; memory is allocated with the first element and freed when the queue
/// runs empty at a large size, so that an idle owner holds nothing. The owner bounds the count.
@usableFromInline
package struct RingQueue<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline var base: UnsafeMutablePointer<Element>?
    @usableFromInline var capacity: UInt32
    @usableFromInline var head: UInt32
    @usableFromInline var storedCount: UInt32

    @inlinable
    package init() {
        base = nil
        capacity = 0
        head = 0
        storedCount = 0
    }

    deinit { base?.deallocate() }

    @inlinable @inline(__always)
    package var count: Int { Int(storedCount) }
    @inlinable @inline(__always)
    package var isEmpty: Bool { storedCount == 0 }

    /// Bytes allocated.
    package var byteCount: Int { Int(capacity) * MemoryLayout<Element>.stride }

    /// The element at a position counted from the head.
    @inlinable
    package subscript(position: Int) -> Element {
        @inline(__always)
        get { base.unsafelyUnwrapped[slot(position)] }
        @inline(__always)
        nonmutating set { base.unsafelyUnwrapped[slot(position)] = newValue }
    }

    @inlinable @inline(__always)
    func slot(_ position: Int) -> Int {
        invariant(
            UInt(bitPattern: position) < UInt(storedCount), "a position beyond the queue's end")
        return Int((head &+ UInt32(truncatingIfNeeded: position)) & (capacity &- 1))
    }

    @inlinable @inline(__always)
    package mutating func append(_ element: Element) {
        if storedCount == capacity { grow() }
        base.unsafelyUnwrapped[Int((head &+ storedCount) & (capacity &- 1))] = element
        storedCount &+= 1
    }

    @inlinable @inline(__always)
    @discardableResult
    package mutating func removeFirst() -> Element {
        let element = self[0]
        head = (head &+ 1) & (capacity &- 1)
        storedCount &-= 1
        if storedCount == 0 { emptied() }
        return element
    }

    @inlinable
    @discardableResult
    package mutating func removeLast() -> Element {
        let element = self[count &- 1]
        storedCount &-= 1
        if storedCount == 0 { emptied() }
        return element
    }

    @inlinable
    package mutating func removeAll() {
        base?.deallocate()
        base = nil
        capacity = 0
        head = 0
        storedCount = 0
    }

    /// Keeps a small block, so that a queue that is used one element at a time does not allocate.
    @inlinable
    mutating func emptied() {
        head = 0
        if Int(capacity) &* MemoryLayout<Element>.stride > 256 { removeAll() }
    }

    @usableFromInline
    mutating func grow() {
        let larger = max(capacity * 2, 8)
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: Int(larger))
        for position in 0..<Int(storedCount) {
            memory[position] = base.unsafelyUnwrapped[slot(position)]
        }
        base?.deallocate()
        base = memory
        capacity = larger
        head = 0
    }
}
