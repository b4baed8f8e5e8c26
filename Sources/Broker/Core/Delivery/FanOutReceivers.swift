import Base
import Dist
import MQTT

/// The receivers of a message as they were when it came, for one that is delivered in slices.
///
/// A copy, so that a slice does not care what became of the subscriptions since: whoever came
/// later is not in it, who has gone is known by its generation, nobody stands in it twice. Twelve
/// bytes each; messages that found the same receivers share one. Owned by one worker.
final class FanOutReceivers {
    /// By which filters they were found.
    let tokens: [UInt64]
    let count: Int
    private let subscribers: UnsafeMutablePointer<Subscriber>
    private let generations: UnsafeMutablePointer<UInt32>
    /// Receivers with several identifiers, by position.
    private(set) var manyIdentifiers: [Int: SubscriptionIDs] = [:]
    /// UNSUBSCRIBEs that the worker had seen.
    let unsubscriptions: UInt64

    /// Exactly `count` receivers are added next.
    init(tokens: UnsafeBufferPointer<UInt64>, count: Int, unsubscriptions: UInt64) {
        self.tokens = Array(tokens)
        self.count = count
        self.unsubscriptions = unsubscriptions
        subscribers = .allocate(capacity: count)
        generations = .allocate(capacity: count)
    }

    deinit {
        for identifiers in manyIdentifiers.values { identifiers.free() }
        subscribers.deallocate()
        generations.deallocate()
    }

    var byteCount: Int { count * 12 + tokens.count * 8 + manyIdentifiers.count * 64 }

    subscript(position: Int) -> (subscriber: Subscriber, generation: UInt32) {
        (subscribers[position], generations[position])
    }

    /// `identifiers`, where there are several, belong to this value from now on.
    func set(
        _ position: Int, _ subscriber: Subscriber, generation: UInt32,
        identifiers: SubscriptionIDs? = nil
    ) {
        (subscribers + position).initialize(to: subscriber)
        (generations + position).initialize(to: generation)
        if let identifiers { manyIdentifiers[position] = identifiers }
    }

    func subscribers(_ range: Range<Int>) -> UnsafeBufferPointer<Subscriber> {
        UnsafeBufferPointer(start: subscribers + range.lowerBound, count: range.count)
    }

    /// Whether these are the receivers of one filter, none more and none less.
    func isSame(
        _ others: UnsafeBufferPointer<Subscriber>, _ tokens: UnsafeBufferPointer<UInt64>,
        unsubscriptions: UInt64, _ generation: (Int32) -> UInt32
    ) -> Bool {
        guard others.count == count, unsubscriptions == self.unsubscriptions,
            self.tokens.elementsEqual(tokens)
        else { return false }
        for position in 0..<count
        where others[position] != subscribers[position]
            || generation(others[position].session) != generations[position]
        {
            return false
        }
        return true
    }
}
