import Base
import EventLoops
import MQTT

/// Everything that a run does, as values: the broker, the groups of clients, the limits.
///
/// Scenarios make one from a command line; the loops carry it out and change nothing in it.
package struct LoadPlan: Sendable {
    package var target: TargetOptions
    package var groups: [ClientGroup]
    package var loops = 1
    package var poller = PollerKind.epoll
    /// Decides ids, random topics, phases and the order of chance; equal seeds give equal runs.
    package var seed: UInt64 = 1
    /// Connections being opened at once, on each loop. Above a broker's listen backlog the kernel
    /// drops requests and repeats them a second later.
    package var openingMax = 64
    /// Bytes that wait for a socket before its publisher pauses.
    package var outputMax = 32 * 1024
    /// Whether payloads are compared byte by byte.
    package var comparesPayload = true

    package init(target: TargetOptions, groups: [ClientGroup]) {
        self.target = target
        self.groups = groups
    }

    /// The size of every payload, if all publishers agree on it.
    var payloadBytes: Int? {
        let sizes = Set(groups.compactMap { $0.publishing?.payloadBytes })
        return sizes.count == 1 ? sizes.first.map { max($0, MessageStamp.size) } : nil
    }

    /// Streams of all groups: one per publisher.
    package var streamCount: Int {
        groups.map { $0.publishing.map { $0.firstStream + $0.streams } ?? 0 }.max() ?? 0
    }
}

/// The broker under test, and how clients come to it.
package struct TargetOptions: Sendable {
    /// Clients take them in turn: nodes of a cluster.
    package var addresses: [ListenerAddress]
    /// Our own addresses, taken in turn; empty for the kernel's choice.
    package var sources: [IPAddress] = []
    /// Seals connections.
    package var tls: TLSClientOptions?
    /// What the server's certificate must bear.
    package var serverName = "localhost"
    /// The path of a WebSocket; nil for plain MQTT.
    package var webSocketPath: String?
    package var version = ProtocolVersion.v311
    package var username: TextPattern?
    package var password: String?
    /// Seconds; 0 for none.
    package var keepAlive: UInt16 = 300
    package var connectTimeout = Duration.seconds(10)
    /// How often a connection that could not be opened, or was lost, is opened again.
    package var retries = 0
    package var retryDelay = Duration.seconds(1)

    package init(addresses: [ListenerAddress]) { self.addresses = addresses }

    package var transportName: String {
        switch (tls != nil, webSocketPath != nil) {
        case (false, false): "tcp"
        case (true, false): "tls"
        case (false, true): "ws"
        case (true, true): "wss"
        }
    }
}

/// Clients of one kind. Client `i` of a group lives on loop `i` modulo the number of loops.
package struct ClientGroup: Sendable {
    package var name: String
    package var count: Int
    /// The number of the first client in patterns.
    package var firstNumber = 1
    package var clientID: TextPattern
    package var cleanStart = true
    /// Seconds, MQTT 5.
    package var sessionExpiry: UInt32 = 0
    package var subscriptions: [SubscribePlan] = []
    package var publishing: PublishPlan?
    package var expectation = StreamExpectation.anything
    /// For messages of one publisher on many topics, whose order nobody promises.
    package var ignoresOrder = false

    package init(name: String, count: Int, clientID: TextPattern) {
        self.name = name
        self.count = count
        self.clientID = clientID
    }
}

/// A filter of each client of a group.
package struct SubscribePlan: Sendable {
    package var filter: TextPattern
    package var qos: QoS
    /// `filter` is written so often, with `%s` counting from 0: many subscriptions each.
    package var repeats = 1

    package init(filter: TextPattern, qos: QoS) {
        self.filter = filter
        self.qos = qos
    }
}

/// What each client of a group publishes: one stream of numbered messages.
package struct PublishPlan: Sendable {
    package var topic: TextPattern
    package var qos: QoS
    package var retain = false
    /// At least `MessageStamp.size`.
    package var payloadBytes = 64
    /// QoS 1 and 2: messages without their last acknowledgement.
    package var window = 100
    /// QoS 0: messages that were sent and not received yet; 0 for no bound.
    package var lag = 0
    /// Deliveries of each message, for `lag`.
    package var copies = 1
    /// The first client's stream; the others follow.
    package var firstStream = 0
    /// The number of clients in the group.
    package var streams: Int

    package init(topic: TextPattern, qos: QoS, streams: Int) {
        self.topic = topic
        self.qos = qos
        self.streams = streams
    }
}

/// Which streams a subscriber must receive, counted from a first one. What it must not receive is
/// counted as misrouted.
package enum StreamExpectation: Sendable, Equatable {
    /// Only the form of what comes is checked: for publishers elsewhere.
    case anything
    /// The stream of the client's own index.
    case own(first: Int)
    /// All of so many streams.
    case every(first: Int, streams: Int)
    /// Streams are dealt out: every `among`-th, beginning with the client's index.
    case dealt(first: Int, streams: Int, among: Int)
    /// Each message to one client of the group.
    case shared(first: Int, streams: Int)
}

/// When and how much a group publishes.
package struct PublishRound: Sendable {
    /// Intended time of the first message.
    package var start: Instant
    /// Messages of all publishers together; 0 for as many as windows, lag and sockets admit.
    package var perSecond: Double
    /// Messages of each publisher.
    package var countMax: UInt32
    /// Messages without payload: they clear what is retained, and nobody checks them.
    package var isEmpty = false

    package init(start: Instant, perSecond: Double, countMax: UInt32 = .max) {
        self.start = start
        self.perSecond = perSecond
        self.countMax = countMax
    }
}
