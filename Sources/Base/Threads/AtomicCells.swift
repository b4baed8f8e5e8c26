import CLinux

/// A fixed row of numbers that several threads change without a lock.
///
/// Relaxed unless said otherwise: counters and gauges, and numbers that announce a change.
@usableFromInline
package struct AtomicCells: ~Copyable, @unchecked Sendable {
    @usableFromInline let base: UnsafeMutablePointer<UInt64>
    package let count: Int

    /// `count` cells of 0.
    @usableFromInline
    package init(count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        base.initialize(repeating: 0, count: count)
    }

    deinit { base.deallocate() }

    @inlinable
    package func load(_ index: Int) -> UInt64 { apus_atomic_load_relaxed_u64(base + index) }

    /// Sees everything that was written before the value was stored by `publish`.
    @inlinable
    package func acquire(_ index: Int) -> UInt64 { apus_atomic_load_acquire_u64(base + index) }

    @inlinable
    package func publish(_ index: Int, _ value: UInt64) {
        apus_atomic_store_release_u64(base + index, value)
    }

    /// Returns the value before.
    @inlinable
    @discardableResult
    package func add(_ index: Int, _ amount: UInt64) -> UInt64 {
        apus_atomic_add_u64(base + index, amount)
    }

    /// Returns the value before.
    @inlinable
    @discardableResult
    package func subtract(_ index: Int, _ amount: UInt64) -> UInt64 {
        apus_atomic_sub_u64(base + index, amount)
    }

    /// Stores `desired` if the value is still `expected`; otherwise `expected` becomes the value.
    @inlinable
    package func exchange(_ index: Int, expected: inout UInt64, desired: UInt64) -> Bool {
        apus_atomic_exchange_if_u64(base + index, &expected, desired)
    }
}
