import Base

/// Constant bytes that aliases need.
package enum AliasConstants {
    /// The length of an empty topic: two zero bytes that live as long as the process.
    package nonisolated(unsafe) static let emptyTopic: UnsafeRawPointer = {
        let place = UnsafeMutableRawPointer.allocate(byteCount: 2, alignment: 2)
        place.storeBytes(of: 0, as: UInt16.self)
        return UnsafeRawPointer(place)
    }()
}

/// Topic aliases that we give towards a client that allows them [MQTT-3.1.2-26].
///
/// The first topics that are long enough to gain keep their alias for the life of the connection:
/// a client with more topics than aliases loses little, and nothing is ever sent twice to change
/// one. Bounded by the client's maximum and `countMax`.
package struct OutboundAliases {
    /// Aliases given to one client at most.
    package static let countMax = 64

    /// What to send for a topic.
    package struct Choice {
        /// 0: no alias.
        package var number: UInt16
        /// The client knows the alias, so the topic is left out.
        package var isKnown: Bool
        package static let none = Choice(number: 0, isKnown: false)
    }

    private let maximum: Int
    private var topics: [(hash: UInt64, bytes: [UInt8])] = []

    package init(clientMaximum: UInt16) { maximum = min(Int(clientMaximum), Self.countMax) }

    package mutating func choose(_ topic: UnsafeRawBufferPointer, _ hash: TableHash) -> Choice {
        let value = hash.hash(topic)
        for (position, known) in topics.enumerated()
        where known.hash == value && known.bytes.elementsEqual(topic) {
            return Choice(number: UInt16(position + 1), isKnown: true)
        }
        // An alias costs three bytes in every packet.
        guard topics.count < maximum, topic.count > 3 else { return .none }
        topics.append((value, [UInt8](topic)))
        return Choice(number: UInt16(topics.count), isKnown: false)
    }

    /// Takes back the alias given last: its packet was not sent.
    package mutating func removeNewest() { topics.removeLast() }
}
