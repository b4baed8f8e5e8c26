import Base

/// The limits of ranges, lanes, clients and hosts.
package enum RangeLimits {
    /// Batches of one lane that are sent and not answered. The ring of results is as long: a
    /// batch that may be repeated is among the last `laneWindow`, since a lane has no gaps.
    package static let laneWindow = 16
    /// Lanes of one range: nodes times workers, with room for epochs that are not yet fenced.
    package static let lanesMax = 16_384
    /// Nodes whose fenced epochs a range remembers.
    package static let fencesMax = 4_096

    /// A command by itself: the largest MQTT packet (256 MiB) with room for key and fields.
    package static let commandBytesMax = (256 << 20) + (1 << 20)
    /// A batch takes no further command beyond this; a larger command travels alone.
    package static let batchBytesMax = 256 << 10
    /// Commands in one batch.
    package static let batchCommandsMax = 1_024
    /// The result of one command.
    package static let resultBytesMax = 64 << 10
    /// A routing key: a topic of 65,535 bytes, escaped at worst, tenant and fields.
    package static let keyBytesMax = 256 << 10

    /// Commands that wait in a client for one range: beyond the window, not yet proposed.
    package static let waitingCommandsMax = 65_536
    /// Bytes of those commands; a range always takes one command, however large.
    package static let waitingBytesMax = 64 << 20
    /// Questions of one client that are not yet answered.
    package static let openQuestionsMax = 65_536

    /// Commands applied by one host in one turn, over all its ranges.
    package static let appliedPerTurn = 8_192
    /// Bytes of received frames that one range keeps until they are applied; then it is busy.
    package static let hostQueueBytesMax = 64 << 20
    /// A buffer that has grown beyond this gives its memory back once it is empty.
    package static let keptBytesMax = 1 << 20
    /// Answers of one range that wait for a release; further ones are left to the next repeat.
    package static let heldAnswersMax = 65_536
    /// Descriptors in one answer `stale boundary`.
    package static let descriptorsPerAnswer = 16
    /// Descriptors in one message of the range map.
    package static let descriptorsPerMessage = 4_096
    /// Hosts that a message to a machine may pass before it is dropped.
    package static let messageHopsMax: UInt8 = 4
    /// Replicas of a range, voters or learners.
    package static let replicasMax = 1_024

    /// The first repeat after a lost answer, and its growth by doubling with a quarter of jitter.
    package static let retryAfter: Duration = .milliseconds(500)
    package static let retryAfterMax: Duration = .seconds(5)
    /// The first repeat after a refusal that says so (busy, not leader, gap).
    package static let refusedRetryAfter: Duration = .milliseconds(5)
    /// A command that could not be proposed by then completes without effect.
    package static let unproposedTimeMax: Duration = .seconds(10)
    /// A proposed command whose answer has not come by then completes with unknown outcome.
    package static let outcomeTimeMax: Duration = .seconds(60)
    /// A question that has no answer by then completes without one.
    package static let questionTimeMax: Duration = .seconds(10)
}
