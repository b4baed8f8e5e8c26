import Base
import Inbox
import MQTT
import Policy

/// A session on this worker by slab index, with the number that tells a reused cell apart.
struct SessionRef: Hashable, BitwiseCopyable, Sendable {
    var index: Int32
    var generation: UInt32
}

/// Where a connection stands in its life.
///
/// ```
///  awaitsConnect -> authenticating -> claiming -> attaching -> live -> closing
///        |                |              |            |         |
///        +----------------+--------------+------------+---------+--> (cell freed)
/// ```
/// `claiming` asks for the ownership of the client id, `attaching` for the stored session.
enum SessionPhase: UInt8 {
    case awaitsConnect
    case authenticating
    case claiming
    case attaching
    case live
    /// The connection is gone; the cell waits for what was begun to end.
    case closing
}

/// One connection and its session on a worker: a cell of the worker's slab.
///
/// Owned by the worker, from accept until the connection has closed and nothing refers to it any
/// more. A stored session's durable part lives in its inbox range; this is the owner's view.
struct Session: ~Copyable {
    // What each delivery reads stands together.
    var flags: Flags = []
    /// Where its packets are written in this turn; -1 if no room is claimed.
    var cursor: Int32 = -1
    var tenant = TenantSlot(0)
    /// Bytes; what the client takes in one packet [MQTT-3.1.2-24].
    var packetSizeMax: UInt32 = .max
    var phase = SessionPhase.awaitsConnect
    let listener: UInt16
    let generation: UInt32
    var machine: SessionMachine
    var connection: ConnectionKey

    // Identity, set by CONNECT.
    var names = SessionNames()
    /// BucketHash of tenant and client id: tells a publisher apart in message records.
    var publisherHash: UInt64 = 0
    var ownerEpoch = OwnerEpoch.none
    /// Nil where everything is allowed.
    var access: AccessState?
    /// Nil for a Unix socket.
    var peerAddress: IPAddress?
    var peerPort: UInt16 = 0
    /// Seconds; 0 when keep alive is off.
    var keepAlive: UInt16 = 0

    // Protocol state that only a few clients use stays behind one pointer.
    var rare: RareState?

    var timer = TimerID.none
    /// When the last byte came, or the last unfinished publish of ours ended.
    var lastReceived: Instant
    /// What holds for this connection from CONNACK to its end, whatever the settings become.
    var agreed = AgreedLimits()
    /// Of the last merge of overlapping subscriptions that it was in; see `MergeTable`.
    var mergeStamp: UInt32 = 0
    var mergeIndex: Int32 = 0
    /// Seconds since 1970; 0 before CONNACK.
    var connectedAtSeconds: UInt32 = 0
    /// Slots of the worker's filter table that a transient session subscribes to.
    var filters = SlotList()

    struct Flags: OptionSet {
        let rawValue: UInt32
        static let cleanStart = Flags(rawValue: 1)
        /// The connection's input is held back by us.
        static let inputPaused = Flags(rawValue: 1 << 1)
        /// Output is above the high watermark: QoS 1 and 2 wait in the queue.
        static let outputFull = Flags(rawValue: 1 << 2)
        /// A DISCONNECT with reason 0 came: the will is discarded.
        static let willDiscarded = Flags(rawValue: 1 << 3)
        static let problemInformation = Flags(rawValue: 1 << 4)
        /// A session record exists in the inbox range (stored, or transient with a will).
        static let attached = Flags(rawValue: 1 << 5)
        static let webSocket = Flags(rawValue: 1 << 6)
        /// A control packet is being carried out: later packets wait, so that order holds.
        static let busy = Flags(rawValue: 1 << 7)
        static let owned = Flags(rawValue: 1 << 8)
        static let tenantCounted = Flags(rawValue: 1 << 9)
        /// Counted among the node's clients.
        static let seated = Flags(rawValue: 1 << 10)
        static let hasAliases = Flags(rawValue: 1 << 11)
        /// A rule denies part of what it subscribed to: each delivery is judged.
        static let checksDelivery = Flags(rawValue: 1 << 12)
        // What CONNACK said that the server does not do: asking for it is an error then.
        static let toldNoWildcards = Flags(rawValue: 1 << 13)
        static let toldNoShares = Flags(rawValue: 1 << 14)
        static let toldNoSubscriptionIDs = Flags(rawValue: 1 << 15)
        /// The packet at the head of the input waits for the authoriser.
        static let asking = Flags(rawValue: 1 << 16)
        /// Its address connects too often.
        static let tooFast = Flags(rawValue: 1 << 17)
        /// A publisher that is not read because memory is short.
        static let slowed = Flags(rawValue: 1 << 18)
        /// It was reported as slow and has not caught up.
        static let slow = Flags(rawValue: 1 << 19)
        // What the tenant's settings limit; see Worker+Settings and Worker+Bandwidth.
        /// Bytes read from it are counted.
        static let metersInput = Flags(rawValue: 1 << 20)
        /// Bytes of messages written to it are counted; QoS 0 waits in the queue too.
        static let metersOutput = Flags(rawValue: 1 << 21)
        /// Bytes of messages to it count towards the tenant's fan-out.
        static let metersFanOut = Flags(rawValue: 1 << 22)
        /// Not read until its bandwidth, or the tenant's, has tokens again.
        static let inputHeld = Flags(rawValue: 1 << 23)
        /// No messages are written until its bandwidth has tokens again.
        static let outputHeld = Flags(rawValue: 1 << 24)
        /// Not read until it has taken what it was sent.
        static let deaf = Flags(rawValue: 1 << 25)
        /// It has had its part of the turn.
        static let yielded = Flags(rawValue: 1 << 26)
        /// Retained messages are on their way to it: see `Worker.replays`.
        static let replays = Flags(rawValue: 1 << 27)
    }

    /// QoS 0 can be written to it as it comes: nothing is to be checked, counted or held back.
    var takesCopies: Bool {
        phase == .live
            && flags.isDisjoint(with: [
                .outputFull, .outputHeld, .hasAliases, .checksDelivery, .metersOutput,
                .metersFanOut,
            ])
    }

    /// Copies: what only looks takes `names`.
    var clientID: [UInt8] { [UInt8](names.clientID) }
    var principal: [UInt8] { [UInt8](names.principal) }

    /// Its next packet has to wait.
    var isHeld: Bool { !flags.isDisjoint(with: [.busy, .inputHeld, .yielded]) }

    init(connection: ConnectionKey, generation: UInt32, listener: UInt16, now: Instant) {
        machine = SessionMachine(
            version: .v311, isStored: false, receiveMaximum: .max)
        self.connection = connection
        self.generation = generation
        self.listener = listener
        lastReceived = now
    }
}

/// What CONNECT and CONNACK said to each other: a changed setting concerns the next CONNECT.
struct AgreedLimits: BitwiseCopyable {
    /// Bytes of the largest packet that the client may send.
    var packetBytesMax: UInt32 = 0
    /// QoS 1 and 2 publishes of the client that may be open at once.
    var receiveMaximum: UInt16 = .max
    var topicAliasMax: UInt16 = 0
    /// What the client said it takes at once; a setting may narrow it at any time.
    var clientReceiveMaximum: UInt16 = .max
}

/// What few sessions need: allocated with its first use.
final class RareState {
    /// Topic names by inbound alias - 1; empty where none is set.
    var inboundAliases: [[UInt8]] = []
    var outboundAliases: OutboundAliases?
    var will: WillMessage?
    /// The CONNECT under way, until CONNACK, and its bytes.
    var connect: ConnectPacket?
    var connectSize = 0
    var peer: PeerName?
    /// Session expiry interval in seconds; 0xFFFFFFFF never.
    var expirySeconds: UInt32 = 0
    var authenticationMethod: [UInt8]?
    /// Data for CONNACK, from enhanced authentication.
    var authenticationData: [UInt8] = []
    /// The enhanced authentication under way.
    var exchange: (any AuthenticationExchange)?
    /// The session expiry interval of DISCONNECT.
    var expiryOverride: UInt32?
    /// The owner's view of a stored session's queue.
    var stored: StoredState?
    /// What it has as a member of shared groups.
    var share: ShareState?
    /// Limits publishes per second, where the tenant has a limit.
    var publishBucket = TokenBucket()
    /// Bytes read and bytes of messages written, where the tenant limits them.
    var bandwidth = BandwidthState()
    /// Bounds of a stored session's queue, as they went to its inbox with the attach.
    var queueLimits = QueueLimits(messagesMax: 0, bytesMax: 0, policy: .dropNewest)
    /// What was used up when the stored session was asked for.
    var exhausted: ResourceType?
    /// A stored session more was counted before it was there.
    var hasReservedSession = false
    /// What the packet at the head of the input waits for, or its verdicts.
    var judgement: AccessJudgement?
    /// Messages of this turn that found the queue full, and whether the oldest went for them.
    var overflow: (count: Int, isOldest: Bool) = (0, false)
    /// Topic and size of open publishes by packet identifier, where the tenant is debugged.
    var openPublishes: [UInt16: (topic: String, size: Int)] = [:]

    /// Of one of them, as an allocator counts it, without what its fields refer to.
    static let byteCount = 576

    /// Whether a connected transient session can do without it: a new one would say the same.
    var isUnused: Bool {
        let hasProtocolState =
            will != nil || connect != nil || !inboundAliases.isEmpty || outboundAliases != nil
            || expirySeconds != 0 || expiryOverride != nil || authenticationMethod != nil
            || exchange != nil || peer?.isRelayed == true
        let hasWork =
            stored != nil || share != nil || judgement != nil || overflow.count != 0
            || !openPublishes.isEmpty
        let isCounted =
            !publishBucket.isUntouched || !bandwidth.isUntouched || exhausted != nil
            || hasReservedSession
        return !hasProtocolState && !hasWork && !isCounted
    }
}
