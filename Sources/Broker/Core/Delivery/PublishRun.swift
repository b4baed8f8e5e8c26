import Dist
import MQTT

/// PUBLISH packets of one read, one after the other, that differ in packet id and payload alone.
///
/// What was found out about the first of them holds for the others: that its topic is well formed
/// and allowed, and to whom it goes. A run ends with the read, or with a packet that may change the
/// client's rights; routes have a stamp of their own.
struct PublishRun {
    /// The first packet; its ranges lie in the buffer being read.
    private(set) var first = PublishPacket.none
    private(set) var isOpen = false
    /// Whether packets that follow may be copied to their receivers together: false as soon as one
    /// receiver needs a packet of its own.
    var isCopied = true
    /// Whom the packets go to, valid while the route cache stands at `changes`.
    private(set) var plan: RoutePlan?
    private(set) var changes: UInt64 = 0

    @inline(__always)
    mutating func begin(_ packet: PublishPacket) {
        first = packet
        isOpen = true
        isCopied = true
        plan = nil
    }

    @inline(__always)
    mutating func end() { isOpen = false }

    mutating func remember(_ plan: RoutePlan, at changes: UInt64) {
        self.plan = plan
        self.changes = changes
    }
}

/// The packet that a message came in, where it can go out as it is: nothing in it is for the server
/// alone. For receivers of its version and QoS its bytes are copied, with their own packet id.
struct OriginalFrame {
    var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Of `FrameCache`; -1 if there is none.
    var variant = -1
    var packetIDOffset = 0

    static var none: OriginalFrame { OriginalFrame() }
}
