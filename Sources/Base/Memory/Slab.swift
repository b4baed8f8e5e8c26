/// Fixed-size cells in stable memory, addressed by 32-bit index, with a free list.
///
/// ```
///  chunk 0: [cell 0 .. cell n-1]   chunk 1: [cell n .. 2n-1]   ...   (never moved, never shrunk)
///  free:    head -> index -> index -> none     (the link lies in the free cell itself)
/// ```
/// Owned by one loop. A cell's generation, if stale references can exist, is the element's own
/// field. Limit: 2^31 cells; the caller bounds the number by a named limit of its own.
@usableFromInline
package struct Slab<Element: ~Copyable>: ~Copyable {
    @inlinable static var chunkShift: Int { 8 }
    @inlinable static var chunkSize: Int { 1 << chunkShift }

    @usableFromInline var chunks: UnsafeMutablePointer<UnsafeMutableRawPointer>
    @usableFromInline var chunkCount: Int
    @usableFromInline var chunkCapacity: Int
    @usableFromInline var freeHead: Int32
    /// Cells ever handed out: indices below this are live or on the free list.
    @usableFromInline var highWater: Int32
    /// Cells in use.
    @inlinable
    package var count: Int { liveCount }
    @usableFromInline var liveCount: Int

    @inlinable
    package init() {
        chunkCapacity = 8
        chunks = .allocate(capacity: chunkCapacity)
        chunkCount = 0
        freeHead = -1
        highWater = 0
        liveCount = 0
    }

    /// Frees the memory. The owner has removed what needs its own clean-up.
    deinit {
        for index in 0..<chunkCount { chunks[index].deallocate() }
        chunks.deallocate()
    }

    @inlinable static var stride: Int {
        max(MemoryLayout<Element>.stride, MemoryLayout<Int32>.stride)
    }

    /// Bytes held, in use or not.
    @usableFromInline
    package var byteCount: Int { chunkCount * Self.chunkSize * Self.stride }

    @inlinable
    func cell(_ index: Int32) -> UnsafeMutableRawPointer {
        chunks[Int(index) &>> Self.chunkShift]
            + (Int(index) & (Self.chunkSize &- 1)) &* Self.stride
    }

    /// Moves `element` into a free cell and returns its index.
    @inlinable
    package mutating func insert(_ element: consuming Element) -> Int32 {
        let index: Int32
        if freeHead >= 0 {
            index = freeHead
            freeHead = cell(index).load(as: Int32.self)
        } else {
            if Int(highWater) == chunkCount &<< Self.chunkShift { addChunk() }
            index = highWater
            highWater &+= 1
        }
        cell(index).initializeMemory(as: Element.self, to: element)
        liveCount &+= 1
        return index
    }

    @usableFromInline
    mutating func addChunk() {
        if chunkCount == chunkCapacity {
            let larger = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(
                capacity: chunkCapacity * 2)
            larger.moveInitialize(from: chunks, count: chunkCount)
            chunks.deallocate()
            chunks = larger
            chunkCapacity *= 2
        }
        chunks[chunkCount] = .allocate(
            byteCount: Self.chunkSize * Self.stride,
            alignment: max(MemoryLayout<Element>.alignment, 4))
        chunkCount += 1
    }

    /// Moves the element out and frees its cell.
    @inlinable
    @discardableResult
    package mutating func remove(_ index: Int32) -> Element {
        let place = cell(index)
        let element = place.assumingMemoryBound(to: Element.self).move()
        place.storeBytes(of: freeHead, as: Int32.self)
        freeHead = index
        liveCount &-= 1
        return element
    }

    /// The element's stable address; valid until it is removed. The index must be in use.
    @inlinable
    package subscript(pointer index: Int32) -> UnsafeMutablePointer<Element> {
        cell(index).assumingMemoryBound(to: Element.self)
    }
}
