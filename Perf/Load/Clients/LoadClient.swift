import Base
import EventLoops
import MQTT

/// One client: a plain record in its loop's array, 80 bytes and no object.
///
/// ```
///  idle -> opening -> (upgrading) -> greeting -> (subscribing) -> ready -> idle
/// ```
struct LoadClient {
    var connection = ConnectionID.none
    /// When the step began that it is in, for the latencies of opening.
    var since: UInt64 = 0
    /// Index in its group.
    var index: Int32
    var group: Int16
    var phase = Phase.idle
    var attempts: UInt8 = 0
    /// How often it became ready: each time it goes to the next address.
    var openings: UInt8 = 0
    /// SUBACKs to come.
    var awaited: Int32 = 0
    /// Its publisher, or -1.
    var publisher: Int32 = -1
    /// Its first tracker, or -1.
    var tracker: Int32 = -1
    var receivedIDs = PacketIDBits()
    var frames = ServerFrameWindow()

    enum Phase: UInt8 {
        case idle
        case opening
        case upgrading
        case greeting
        case subscribing
        case ready
        /// We have asked for the end.
        case closing
    }
}

/// One publisher of a loop, beside its client's record.
struct Publisher {
    var client: Int32
    /// Place among all publishers of its group: decides its intended times.
    var ordinal: Int32
    var stream: UInt32
    /// The next message of the stream; and the first of this round.
    var sequence: UInt32 = 0
    var roundBase: UInt32 = 0
    /// Messages without payload, which nobody checks.
    var uncounted: UInt32 = 0
    /// Messages whose time has come (open loop) or that may go (closed loop).
    var due: UInt32 = 0
    var isActive = false
    /// The constant part of its packets, in the loop's templates; -1 if each is written anew.
    var template: Int32 = -1
    var packetSize: Int32 = 0
    var packetIDOffset: Int32 = 0
    var payloadOffset: Int32 = 0
    var window = PacketIDWindow()
    /// QoS 0 with a lag: what was received when the window was last freed, and the last progress.
    var lagBase: UInt32 = 0
    var lagSeen: UInt32 = 0
    var lagTime: UInt64 = 0
}
