/// Why a message was dropped. Everything that Apus drops is counted under one of these, by tenant.
public enum DropReason: UInt8, CaseIterable, Sendable {
    /// The session ended before the message could be sent.
    case sessionClosed
    /// The session's queue was full.
    case overflow
    /// The receiver may no longer read the topic.
    case noSubPermission
    /// The sender may not publish to the topic.
    case noPubPermission
    /// The receiver asked not to get its own messages.
    case noLocal
    /// The connection failed while the message was on its way.
    case channelError
    /// The message expiry interval ran out.
    case expired
    /// A quota or rate of the tenant was used up.
    case resourceExhausted
    /// The receiver has it already.
    case duplicated
    /// Larger than the receiver's maximum packet size.
    case oversize
    /// QoS 0 for a stored session that is offline.
    case offlineQoS0
    /// QoS 0 for a client that does not read fast enough.
    case slowConsumer
    /// QoS 0, and the mailbox of another loop was full.
    case mailboxFull
    /// QoS 0, and the link to another node was full or down.
    case linkFull
    /// The publish rate of the connection was exceeded.
    case publishRate
    /// More receivers than the tenant's fan-out limit.
    case fanoutLimit
    /// No member of the shared group could take it.
    case groupUnavailable
    /// The will was suppressed: the server stopped in good order and the tenant wants none then.
    case willSuppressed
    /// The topic is one that clients may not publish to.
    case invalidTopic
    /// A retained message was refused: retaining is off, or a limit was reached.
    case retainRefused
    /// The store answered with an error, or not at all.
    case storeError
    /// The node is short of memory.
    case memoryPressure
    /// QoS 0, and the loop was late with its turns or its deliveries.
    case loopLate
    /// The receiver refused it in PUBACK or PUBREC.
    case receiverRefused

    /// The name in metrics, logs and the API.
    public var name: String { String(describing: self) }
}
