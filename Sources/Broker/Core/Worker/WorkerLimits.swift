/// The limits of one worker, each with the user it is for. Sums of what connections and tenants
/// may use are settings; these bound what no setting names.
package enum WorkerLimits {
    /// Connections on one worker, live or not yet authenticated.
    package static let connectionsMax = 1 << 21
    /// Seconds from accept to CONNACK, handshakes included.
    package static let connectTimeoutSeconds = 20
    /// How long a loop counts as late after a turn that took too long.
    package static let lateTime = Duration.seconds(1)
    /// How often memory is looked at while it is short; publishers are held back so long.
    package static let overloadInterval = Duration.milliseconds(100)
    /// Clients that do not read, disconnected at each such look when memory is used up.
    package static let shedPerLook = 64
    /// Output bytes that a client has not taken: above it QoS 1 and 2 wait in the queue.
    package static let outputHighWatermark = 1 << 20
    /// Output bytes above which QoS 0 is dropped: twice the high watermark, so that a burst of one
    /// turn does not lose what the socket would have taken at its end.
    package static let outputQoS0Max = 4 << 20
    /// Output bytes from which a client is not read before it has taken some: answers, which
    /// nothing else bounds.
    package static let outputHeldMax = 4 << 20
    /// Payloads from this size are sent by reference to more than one receiver.
    package static let sharedPayloadMin = 8 << 10
    /// Bytes of publishes that wait for an answer about their topic's routes.
    package static let parkedBytesMax = 64 << 20
    /// Control operations (claims, routes, attaches) that wait for an answer.
    package static let operationsMax = 1 << 21
    /// Retained messages fetched in one page.
    package static let retainedPageMessages = 256
    package static let retainedPageBytes = 1 << 20
    /// Sources of outboxes remembered, and how long a refused message of one waits.
    package static let outboxLanesMax = 65_536
    package static let outboxRetryAfter = Duration.milliseconds(100)
    /// Messages of a group's inbox that one member holds unacknowledged, how often it says so, and
    /// what of a group waits to be tried again.
    package static let groupCreditMessages = 64
    package static let groupCreditAgain = Duration.seconds(5)
    package static let groupRetriesMax = 65_536
    /// Retained publishes of one session under commitment at once.
    package static let retainingMax = 64
    /// Entries of a stored session's queue that its inbox may push ahead.
    package static let pushCreditMessages = 1_024
    package static let pushCreditBytes = 1 << 20
    /// Sessions, and filters of theirs, that are judged in one turn after the rules have changed.
    package static let rejudgedPerTurn = 512
    /// Filters of one session that are judged one by one; with more, its deliveries are.
    package static let rejudgedFiltersMax = 64
    /// Packets that wait for the authoriser, and actions of one of them.
    package static let accessJudgementsMax = 65_536
    package static let accessQuestionsMax = 65_536
    /// Filters of a receiver that are searched for the one to name in an event.
    package static let namedFiltersMax = 64
    /// What the authoriser has not answered by then has failed.
    package static let accessAnswerWithin = Duration.seconds(5)
    /// Deliveries that a connection's input may cause in a turn, however busy the loop is.
    package static let inputDeliveriesMin = 256
    /// How long a connection is not read after the throttler has refused.
    package static let throttledFor = Duration.milliseconds(100)
    /// Of several messages with many receivers, how many each reaches at least in one turn.
    package static let fanOutPartMin = 64
    /// Messages of one topic that are delivered together, and after how many their publishers are
    /// not read.
    package static let fanOutAheadMax = 64
    package static let fanOutTrainBytes = 64 << 10
    /// What a message that is delivered in slices counts beside its bytes and its receivers.
    package static let fanOutTaskBytes = 128
    /// Mail to another worker above which QoS 0 towards it is dropped.
    package static let mailBacklogMax = 32 << 20
    /// Bytes of like packets that are copied to a receiver at once: what its output may be above
    /// its bound.
    package static let burstBytesMax = 16 << 10
    /// Sessions looked at in one turn after settings have changed.
    package static let sweptPerTurn = 512
    /// A connection over its bandwidth is read at most so often: not once for each packet.
    package static let inputHeldMin = Duration.milliseconds(10)
    /// How long a connection is not read because its tenant's bytes are used up, before it is
    /// closed.
    package static let inputHeldMax = Duration.seconds(5)
}
