/// The fixed bounds of an inbox range; those that a tenant may set travel in commands instead.
package enum InboxLimits {
    /// Version byte of commands, questions, answers, results, messages and stored values.
    package static let formatVersion: UInt8 = 1

    /// Packet ids that no entry of a queue has: for what a session holds for shared groups.
    package static let leasedPacketIDs: ClosedRange<UInt16> = 64_512...65_535
    /// Span of sequences between the oldest unacknowledged entry and the newest pushed one. Their
    /// packet ids are 1 + (sequence - 1) modulo 64511, so two in this window never share one.
    package static let packetIDWindow: UInt64 = 64_510
    /// Entries of one push page: with `pushPageBytes` the slice of one read from storage.
    package static let pushPageEntries = 512
    package static let pushPageBytes = 256 * 1024

    /// Claimants waiting for one client id; the oldest waiter gives way to a newer one.
    package static let claimsWaitingMax = 4

    /// Entries of one session's outbox that are being fanned out at a time.
    package static let outboxWindow = 32
    /// Entries of one session's outbox; behind it `outboxPut` is refused.
    package static let outboxEntriesMax = 4096
    /// Packet ids a publisher may have between PUBLISH and PUBREL. A receive maximum above it is
    /// of no use to a stored session. All of them fit the result of an attach.
    package static let inboundPacketIDsMax = 8192
    /// After this time the leader sends unfinished outbox entries and intents again.
    package static let retryMilliseconds: UInt64 = 10_000
    /// Publishers whose last outbox sequence a receiver remembers; the least recent gives way.
    package static let sourceMarksMax = 1024
    /// Idempotency keys that one publisher identity keeps, and for how long.
    package static let idempotencyKeysMax = 4096
    package static let idempotencyMilliseconds: UInt64 = 600_000

    /// Route changes of one session that wait for dist.
    package static let intentsMax = 65_535
    /// Intents that travel in one message.
    package static let intentsPerMessage = 256
    /// Bytes of subscriptions in an answer; the rest is asked for by page.
    package static let subscriptionPageBytes = 32 * 1024

    /// Receivers of one insert command: nine bytes of result each at worst, which stays below
    /// `RangeLimits.resultBytesMax`.
    package static let receiversPerCommandMax = 4096
    /// Filters, intents, items or sequences in one command of another kind: nine bytes each, too.
    package static let itemsPerCommandMax = 4096
    /// Sessions that one `expireTenant` reaches; the caller repeats it until none is left.
    package static let expireSessionsPerCommand = 10_000
    /// Sessions in one page of a list.
    package static let listPageMax = 1000
    /// Sessions looked at for one page of a list, found or not.
    package static let listScanMax = 20_000

    /// Sessions that one `applyDue` treats; what is left stays due.
    package static let dueSessionsPerApply = 256

    /// Members of one shared group's inbox, and messages that one member holds unacknowledged.
    package static let groupMembersMax = 65_535
    package static let groupLeasesPerMember = 1024
    /// What a stored session counts towards its tenant's space, beside its queue.
    package static let sessionBytes = 128
}
