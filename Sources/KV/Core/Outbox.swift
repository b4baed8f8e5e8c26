import Base

/// Everything that travels between places (workers of this and of other nodes), by kind.
///
/// The number is part of the wire format (Docs/FORMATS.md); numbers are never reused.
package enum MessageKind: UInt8, Sendable, CaseIterable {
    /// Worker to range leader: a batch of commands in a lane.
    case proposal = 1
    /// Range host to worker: results of a batch, or why not.
    case proposalAnswer = 2
    /// Worker to a replica: a question.
    case query = 3
    case queryAnswer = 4
    /// Range host to every worker of its node: the range map has changed.
    case rangeMap = 5
    /// Replica that matches topics to the range leader: asks for its lease to go on.
    case leaseRequest = 6
    /// Range leader to that replica: the lease is granted.
    case leaseGrant = 7

    /// Dist replica to every worker of its own node: a route was added or removed.
    case routePatch = 16
    /// Worker to the dist replica: patches up to a number are in force here.
    case routePatchApplied = 17

    /// Inbox leader to an owner: entries of a stored session's queue.
    case inboxPush = 32
    /// Owner to inbox leader: credit granted, and the cursor.
    case inboxCredit = 33
    /// Inbox leader to a worker of its node: a message of an outbox (QoS 2, will) to fan out.
    case outboxReady = 34
    /// Inbox leader to an owner: another connection takes the client id; close.
    case ownerEvict = 35
    /// Owner to inbox leader: the client id is free (evicted, or the connection ended).
    case ownerReleased = 36
    /// Inbox leader to a member: a message of a group's inbox, leased to it.
    case groupPush = 37
    /// Worker to inbox leader: QoS 0 for stored sessions, unlogged; the body of an insert command.
    case inboxUnlogged = 38
    /// Inbox leader to a worker of its node: route changes to carry out in dist.
    case intentReady = 39
    /// Inbox leader to a worker of its node: queued messages were dropped, by session and reason.
    case inboxDropped = 40
    /// Owner to a new inbox leader: this connection owns its client id.
    case ownerAnnounce = 41
    /// Worker to inbox leader: a place is fenced; its owners are released.
    case ownersFenced = 42
    /// Member to a group inbox's leader: how many messages it may hold.
    case groupCredit = 43

    /// Worker to worker: messages with the receivers' tokens.
    case delivery = 48
    /// Worker to worker: deliveries up to a number are in their sessions' queues.
    case deliveryDone = 49
    /// Worker to worker: a delivery to a group's member that has gone or has no room.
    case deliveryReturned = 50
    /// Worker to worker: a delivery takes longer and is acknowledged by a number.
    case deliveryDeferred = 51
    /// Worker to worker: the deferred delivery of that number is in its sessions' queues.
    case deliveryFinished = 52

    /// Sent by every replica, leading or not, to workers of its own node.
    package var isLocal: Bool { self == .routePatch || self == .rangeMap }
}

/// Messages of one turn, grouped by the place they go to: Core code's only way to be heard.
///
/// ```
///  frame:  length u32 (of what follows) | kind u8 | body
///  block:  frame frame frame ...          one block per place and turn
/// ```
/// The shell takes the blocks at the end of a turn: to another worker as one block of mail, to
/// another node as one write on its link, to itself for the next turn. The order of frames to one
/// place is the order of sending. Bounded by what a turn may produce.
///
/// Hot fields here and in the other classes of this module are `@exclusivity(unchecked)`: the
/// checks took 40 per cent of a command's way. In return a closure that writes a message, a command
/// or an answer only appends: it calls nothing that sends, proposes or answers.
package final class Outbox {
    /// One destination's block. A class, so that the writer inside never moves.
    package final class Block {
        package let place: Place
        @exclusivity(unchecked)
        package var bytes = ByteWriter(capacity: 512)
        init(place: Place) { self.place = place }
    }

    /// Index in `blocks` of each place: few, so a linear look-up behind a one-entry cache.
    @exclusivity(unchecked)
    package private(set) var blocks: [Block] = []
    @exclusivity(unchecked)
    private var last: Block?

    package init() {}

    /// The block for a place; its memory is kept from turn to turn.
    package func block(to place: Place) -> Block {
        if let last, last.place == place { return last }
        for block in blocks where block.place == place {
            last = block
            return block
        }
        let block = Block(place: place)
        blocks.append(block)
        last = block
        return block
    }

    /// Sends a message whose body is written by `write`.
    package func send(
        _ kind: MessageKind, to place: Place, _ write: (inout ByteWriter) -> Void
    ) {
        let block = block(to: place)
        let start = block.bytes.count
        block.bytes.append(bigEndian: UInt32(0))
        block.bytes.append(kind.rawValue)
        write(&block.bytes)
        block.bytes.patch(bigEndian: UInt32(block.bytes.count - start - 4), at: start)
    }

    /// Walks the frames of a block. Returns false if the block is damaged; frames before the
    /// damage have been handed out.
    package static func forEachFrame(
        in bytes: UnsafeRawBufferPointer, _ body: (MessageKind, RawSpan) -> Void
    ) -> Bool {
        let span = RawSpan(_unsafeBytes: bytes)
        var reader = ByteReader(span)
        do throws(ByteShortage) {
            while !reader.isAtEnd {
                let frame = try reader.takeLengthPrefixed32(span)
                guard frame.count >= 1,
                    let kind = MessageKind(
                        rawValue: span.unsafeLoad(
                            fromByteOffset: Int(frame.offset), as: UInt8.self))
                else { return false }
                body(kind, span.extracting(Int(frame.offset) + 1..<frame.end))
            }
            return true
        } catch {
            return false
        }
    }
}
