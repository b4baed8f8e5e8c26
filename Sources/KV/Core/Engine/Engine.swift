import Base

/// Where a host keeps the stored pairs of one store's ranges: ordered keys and their values.
///
/// Owned by one worker, shared by that worker's replicas of the store, whose keys never overlap;
/// a split therefore moves nothing. Calls return at once: what a disk does is the engine's affair.
package protocol Engine: AnyObject {
    /// Carries out the operations in order. The entry that caused them has been committed.
    func apply(_ batch: borrowing WriteBatch)

    /// A copy of the value, nil if the key is absent.
    func get(_ key: RawSpan) -> [UInt8]?

    /// Hands out pairs in key order until `body` says no. The engine must not be changed meanwhile.
    func scan(_ bounds: KeyBounds, _ body: (_ key: RawSpan, _ value: RawSpan) -> Bool)

    /// Removes every key in the bounds.
    func deleteRange(_ bounds: KeyBounds)

    /// Pairs kept.
    var count: Int { get }
}

/// The engine that keeps nothing: for stores whose machines hold all of their state in memory and
/// never read it back, as long as nothing survives the process anyway.
///
/// Used for dist, whose trie is its only copy until ranges are on disk: a second copy of every
/// route would double its memory and serve nobody.
package final class VolatileEngine: Engine {
    package init() {}
    package func apply(_ batch: borrowing WriteBatch) {}
    package func get(_ key: RawSpan) -> [UInt8]? { nil }
    package func scan(_ bounds: KeyBounds, _ body: (RawSpan, RawSpan) -> Bool) {}
    package func deleteRange(_ bounds: KeyBounds) {}
    package var count: Int { 0 }
}
