import Base
import MQTT
import PerfReport

/// A workload that others have published figures of, by their name for it.
///
/// Names are read, not looked up: any numbers may stand in them. Two families:
///
/// ```
///  mqttbs             conn-tcp-1M-5K                     clients, connections a second
///                     p2p-50K-50K-50K-50K                publishers, subscribers, topics,
///                     fanout-5-1000-5-250K                 deliveries a second in all
///                     sharedsub-50K-500-50K-50K
///  the test report    true_2k_2k_q0_p32_100mps           clean session, publishers, subscribers,
///  of the reference   share_100k_1000_q1_p256_1mps         QoS, payload, messages a second of
///  system             fanout_1_100000_q0_p256_1mps         each publisher; what follows (nodes,
///                     false_300_300_q1_p32_50mps           voters) is the broker's affair
/// ```
/// mqttbs: QoS 1, 16 bytes, MQTT 3.1.1 (5.0 for shared subscriptions), keep alive 300 s.
package struct Preset: Sendable, Equatable {
    package enum Shape: Sendable, Equatable {
        case connections
        case traffic(TrafficShape)
    }

    package let name: String
    package var shape: Shape
    package var publishers: Int
    package var subscribers: Int
    package var topics: Int?
    /// Publishes a second in all; connections a second of a connection preset.
    package var perSecond: Double
    package var qos: QoS
    package var payloadBytes: Int
    package var version: ProtocolVersion
    package var storesSessions = false

    /// Names to begin with.
    package static let known = [
        "conn-tcp-1M-5K", "p2p-50K-50K-50K-50K", "p2p-1K-1K-1K-1K", "fanout-5-1000-5-250K",
        "sharedsub-50K-500-50K-50K",
        "true_2k_2k_q0_p32_100mps", "true_2k_2k_q1_p32_100mps", "true_100k_100k_q0_p256_1mps",
        "true_100k_100k_q1_p256_1mps", "share_100k_1000_q0_p256_1mps",
        "share_100k_1000_q1_p256_1mps", "fanout_1_100000_q0_p256_1mps",
        "fanout_1_100000_q1_p256_1mps", "false_15k_15k_q0_p256_1mps",
        "false_15k_15k_q1_p256_1mps", "false_300_300_q0_p32_50mps", "false_300_300_q1_p32_50mps",
    ]

    package init?(_ name: String) {
        let found = Self.suite(name) ?? Self.report(name)
        guard let found else { return nil }
        self = found
    }

    private init(
        _ name: String, _ shape: Shape, _ publishers: Int, _ subscribers: Int, perSecond: Double,
        qos: QoS, payloadBytes: Int, version: ProtocolVersion
    ) {
        self.name = name
        self.shape = shape
        self.publishers = publishers
        self.subscribers = subscribers
        self.perSecond = perSecond
        self.qos = qos
        self.payloadBytes = payloadBytes
        self.version = version
    }

    private static func suite(_ name: String) -> Preset? {
        var parts = name.split(separator: "-").map(String.init)
        if parts.first == "singlenode" { parts.removeFirst() }
        let numbers = parts.compactMap(number)
        if parts.first == "conn", numbers.count == 2 {
            return Preset(
                name, .connections, 0, numbers[0], perSecond: Double(numbers[1]),
                qos: .atLeastOnce, payloadBytes: 16, version: .v311)
        }
        guard numbers.count == 4, let shape = shapes[parts[0]], numbers.allSatisfy({ $0 > 0 })
        else { return nil }
        // The last number counts deliveries: each publish of a fan-out is one to everybody.
        let deliveries = Double(numbers[3])
        let perSecond = shape == .fanOut ? deliveries / Double(numbers[1]) : deliveries
        var preset = Preset(
            name, .traffic(shape), numbers[0], numbers[1], perSecond: perSecond,
            qos: .atLeastOnce, payloadBytes: 16, version: shape == .shared ? .v5 : .v311)
        preset.topics = numbers[2]
        return preset
    }

    private static let shapes: [String: TrafficShape] = [
        "p2p": .pair, "fanout": .fanOut, "sharedsub": .shared, "sharesub": .shared,
        "fanin": .fanIn, "true": .pair, "false": .pair, "share": .shared,
    ]

    private static func report(_ name: String) -> Preset? {
        let parts = name.split(separator: "_").map(String.init)
        guard parts.count >= 6, let shape = shapes[parts[0]], let publishers = number(parts[1]),
            let subscribers = number(parts[2]), publishers > 0, subscribers > 0,
            parts[3].hasPrefix("q"), let qos = UInt8(parts[3].dropFirst()).flatMap(QoS.init),
            parts[4].hasPrefix("p"), let payload = number(String(parts[4].dropFirst())),
            parts[5].hasSuffix("mps"), let each = Double(parts[5].dropLast(3))
        else { return nil }
        var preset = Preset(
            name, .traffic(shape), publishers, subscribers,
            perSecond: each * Double(publishers), qos: qos, payloadBytes: payload,
            version: .v311)
        preset.storesSessions = parts[0] == "false"
        return preset
    }

    /// `50K`, `1M`, `1000`.
    static func number(_ text: String) -> Int? {
        guard let last = text.last else { return nil }
        let factors: [Character: Int] = ["k": 1000, "K": 1000, "m": 1_000_000, "M": 1_000_000]
        guard let factor = factors[last] else { return Int(text) }
        return Int(text.dropLast()).map { $0 * factor }
    }

    /// The preset with its clients and rates multiplied; a fan-out keeps its publishers.
    package func scaled(_ factor: Double) -> Preset {
        var scaled = self
        func multiply(_ count: Int) -> Int { max(Int((Double(count) * factor).rounded()), 1) }
        let keepsPublishers = shape == .traffic(.fanOut)
        scaled.publishers = keepsPublishers ? publishers : multiply(publishers)
        scaled.topics = keepsPublishers ? topics : topics.map(multiply)
        scaled.subscribers = multiply(subscribers)
        scaled.perSecond = keepsPublishers ? perSecond : perSecond * factor
        return scaled
    }

    /// Runs it with what else the options say.
    package func run(_ options: LoadOptions, _ observer: any RunObserver) throws -> RunEnd {
        var options = options
        options.target.version = version
        options.qos = qos
        options.payloadBytes = payloadBytes
        options.storesSessions = storesSessions
        switch shape {
        case .connections:
            options.connectsPerSecond = perSecond
            return try Connections(.open, clients: subscribers, options).run(observer)
        case .traffic(let shape):
            options.publishers = publishers
            options.subscribers = subscribers
            options.topics = topics
            options.perSecond = perSecond
            let groups = shape.groups(options)
            return try Throughput(name: name, groups: groups, options).run(observer)
        }
    }
}
