/// One number that a worker tells of itself. The raw value is its place in `WorkerFigures`; names
/// and meaning for people are in `FigureTable`.
package enum Figure: UInt8, CaseIterable, Sendable {
    // Clients.
    case connectionsAccepted, connectionsClosed, connectionsOpen, sessionsLive
    case connectsShed, clientsShed
    case storedSessions, storedSessionsAttached, subscriptions, storedSubscriptions
    // Packets and messages.
    case packetsIn, packetsOut, badPackets, publishesIn, publishesOut, publishBytesOut
    case unmatched, queued, parked, parkedBytes, strayAcknowledgements
    case deliveriesSent, deliveriesReceived, groupPushes
    // Ranges.
    case storedMessages, storedMessageBytes
    case rangesLed, rangesWithoutLeader, retainedTopics, retainedBytes, retainedSet
    case publishesOpen, operationsOpen, routeQuestionsOpen
    case staleRoutes, insertsRefused, routesLeftBehind, outcomesUnknown, damagedFrames
    case eventsOverflowed, doorRequests
    // The loop.
    case lateTurns, turns, turnNanosecondsAverage, turnNanosecondsLongest, bytesIn, bytesOut, reads,
        sends
    case wakes, mailDeferred, acceptPauses, connectionsRefused, bufferShortages
    case poolBytesInUse, poolBytesKept
    // Memory by owner, in bytes.
    case memorySessions, memoryNames, memoryRareStates, memoryConnections, memoryTimers
    case memorySubscriptions, memoryRoutes, memoryRouteCache, memoryOwners, memoryStoredSessions
    case memoryRetained, memoryPublishes, memoryMail
    case memoryBlocksUsed, memoryBlocksKept, memoryReceiveBuffers
}

/// How a figure is named, explained and added up.
package struct FigureRow: Sendable {
    /// What becomes of it over all loops.
    package enum Kind: Sendable {
        /// Only rises; summed.
        case counter
        /// Summed.
        case gauge
        /// Nanoseconds, shown as seconds, for each loop apart.
        case loopTime
        /// Every worker counts the same: one of them is taken.
        case common
        /// Bytes: summed, and shown in one metric, `memory_bytes`, with the name as the owner.
        case memory
    }

    package let figure: Figure
    /// In metrics, behind `apus_`; counters get `_total` behind it.
    package let name: String
    package let kind: Kind
    package let help: String

    init(_ figure: Figure, _ name: String, _ kind: Kind, _ help: String) {
        self.figure = figure
        self.name = name
        self.kind = kind
        self.help = help
    }
}

/// Every figure, one row each; a test compares it with the enum.
package enum FigureTable {
    package static let rows: [FigureRow] =
        clientRows + messageRows + rangeRows + loopRows + memoryRows

    private static let clientRows = [
        FigureRow(
            .connectionsAccepted, "connections_accepted", .counter, "Connections accepted."),
        FigureRow(.connectionsClosed, "connections_closed", .counter, "Connections closed."),
        FigureRow(
            .connectionsOpen, "connections", .gauge,
            "Connections, those that have not sent CONNECT included."),
        FigureRow(
            .connectsShed, "connects_shed", .counter,
            "CONNECTs refused because the node had no room for more."),
        FigureRow(
            .clientsShed, "clients_shed", .counter,
            "Clients disconnected because memory was used up."),
        FigureRow(.sessionsLive, "sessions_connected", .gauge, "Sessions with a live connection."),
        FigureRow(
            .storedSessions, "sessions_stored", .gauge, "Stored sessions, connected or not."),
        FigureRow(
            .storedSessionsAttached, "sessions_stored_connected", .gauge,
            "Stored sessions that are connected."),
        FigureRow(
            .subscriptions, "subscriptions", .gauge,
            "Subscriptions of transient sessions that are connected."),
        FigureRow(
            .storedSubscriptions, "subscriptions_stored", .gauge,
            "Subscriptions of stored sessions."),
    ]

    private static let messageRows = [
        FigureRow(.packetsIn, "packets_received", .counter, "Control packets received."),
        FigureRow(.packetsOut, "packets_sent", .counter, "Control packets sent, PUBLISH excepted."),
        FigureRow(
            .badPackets, "packets_bad", .counter, "Packets that broke the rules of the protocol."),
        FigureRow(.publishesIn, "publishes_received", .counter, "PUBLISH packets received."),
        FigureRow(.publishesOut, "publishes_sent", .counter, "PUBLISH packets sent."),
        FigureRow(
            .publishBytesOut, "publish_bytes_sent", .counter, "Bytes of PUBLISH packets sent."),
        FigureRow(.unmatched, "publishes_unmatched", .counter, "Messages that nobody receives."),
        FigureRow(
            .queued, "messages_queued", .counter,
            "Messages that had to wait in the queue of a transient session."),
        FigureRow(
            .parked, "publishes_parked", .counter,
            "Messages that waited for the routes of their topic."),
        FigureRow(.parkedBytes, "parked_bytes", .gauge, "Bytes of messages that wait for that."),
        FigureRow(
            .strayAcknowledgements, "acknowledgements_stray", .counter,
            "Acknowledgements for packet identifiers that nothing is known of."),
        FigureRow(
            .deliveriesSent, "deliveries_sent", .counter, "Messages handed to another loop."),
        FigureRow(
            .deliveriesReceived, "deliveries_received", .counter,
            "Messages taken from another loop."),
        FigureRow(
            .groupPushes, "group_pushes", .counter, "Messages pushed to members of shared groups."),
    ]

    private static let rangeRows = [
        FigureRow(
            .storedMessages, "messages_stored", .gauge,
            "Messages in the queues of stored sessions."),
        FigureRow(
            .storedMessageBytes, "message_bytes_stored", .gauge, "Bytes of those messages."),
        FigureRow(.rangesLed, "ranges_led", .gauge, "Ranges whose leader is on this node."),
        FigureRow(
            .rangesWithoutLeader, "ranges_without_leader", .common,
            "Ranges that nobody leads, as far as this node knows."),
        FigureRow(.retainedTopics, "retained_topics", .gauge, "Topics with a retained message."),
        FigureRow(
            .retainedBytes, "retained_index_bytes", .gauge, "Memory of the topics' index."),
        FigureRow(.retainedSet, "retained_set", .counter, "Retained messages set or cleared."),
        FigureRow(
            .publishesOpen, "publishes_open", .gauge,
            "Messages whose receivers have not all acknowledged."),
        FigureRow(
            .operationsOpen, "operations_open", .gauge,
            "Commands and questions to ranges without an answer."),
        FigureRow(
            .routeQuestionsOpen, "route_questions_open", .gauge,
            "Topics whose routes are being asked for."),
        FigureRow(.staleRoutes, "routes_stale", .counter, "Routes that led to no session."),
        FigureRow(
            .insertsRefused, "inserts_refused", .counter,
            "Messages for stored sessions that a range did not take."),
        FigureRow(
            .routesLeftBehind, "routes_left_behind", .counter,
            "Routes whose removal was refused."),
        FigureRow(
            .outcomesUnknown, "outcomes_unknown", .counter,
            "Commands whose outcome could not be learnt; the connection was closed."),
        FigureRow(.damagedFrames, "frames_damaged", .counter, "Frames that made no sense."),
        FigureRow(
            .eventsOverflowed, "events_overflowed", .counter,
            "Events that no sink got because too many waited."),
        FigureRow(
            .doorRequests, "door_requests", .counter, "Requests of the API and the $SYS topics."),
    ]

    private static let loopRows = [
        FigureRow(
            .lateTurns, "loop_turns_late", .counter,
            "Turns that took longer than the limit for a loop's lag."),
        FigureRow(.turns, "loop_turns", .counter, "Turns of the loops."),
        FigureRow(
            .turnNanosecondsAverage, "loop_turn_seconds_average", .loopTime,
            "Moving average of the time that a turn takes."),
        FigureRow(
            .turnNanosecondsLongest, "loop_turn_seconds_longest", .loopTime,
            "The longest turn since the start."),
        FigureRow(.bytesIn, "bytes_received", .counter, "Bytes read from clients."),
        FigureRow(.bytesOut, "bytes_sent", .counter, "Bytes written to clients."),
        FigureRow(.reads, "socket_reads", .counter, "Receives that brought bytes."),
        FigureRow(.sends, "socket_sends", .counter, "Sends asked of the kernel."),
        FigureRow(.wakes, "loop_wakes", .counter, "Times that another thread woke a loop."),
        FigureRow(
            .mailDeferred, "mail_deferred", .counter,
            "Turns in which mail between loops had to wait."),
        FigureRow(
            .acceptPauses, "accept_pauses", .counter,
            "Times that accepting paused for want of file descriptors."),
        FigureRow(
            .connectionsRefused, "connections_refused", .counter,
            "Connections turned away by a loop that is full."),
        FigureRow(
            .bufferShortages, "receive_buffer_shortages", .counter,
            "Times that io_uring had no receive buffer left."),
        FigureRow(
            .poolBytesInUse, "pool_bytes_in_use", .gauge, "Bytes of pooled blocks in use."),
        FigureRow(
            .poolBytesKept, "pool_bytes_kept", .gauge, "Bytes of pooled blocks kept for reuse."),
    ]

    /// Bytes by owner. What they do not name: code, stacks, the loops' scratch, rounding of the
    /// allocator and memory that it keeps.
    package static let memoryRows = [
        FigureRow(
            .memorySessions, "sessions", .memory, "Cells of sessions, in use or not."),
        FigureRow(
            .memoryNames, "session_names", .memory, "Client identifiers and users of sessions."),
        FigureRow(
            .memoryRareStates, "session_extras", .memory,
            "What few sessions need: wills, aliases, stored and shared state."),
        FigureRow(
            .memoryConnections, "connections", .memory, "Records of connections, in use or not."),
        FigureRow(.memoryTimers, "timers", .memory, "Timers of sessions and connections."),
        FigureRow(
            .memorySubscriptions, "subscriptions", .memory,
            "Filters of transient sessions and who has them."),
        FigureRow(.memoryRoutes, "routes", .memory, "Routes of the ranges at home here."),
        FigureRow(.memoryRouteCache, "route_cache", .memory, "Topics whose receivers are known."),
        FigureRow(
            .memoryOwners, "owners", .memory, "Which connection each client identifier has."),
        FigureRow(
            .memoryStoredSessions, "sessions_stored", .memory,
            "Records of stored sessions, without queues."),
        FigureRow(.memoryRetained, "retained", .memory, "The index of retained topics."),
        FigureRow(
            .memoryPublishes, "publishes", .memory,
            "Messages, commands and questions under way."),
        FigureRow(.memoryMail, "mail", .memory, "Frames from a loop to itself."),
        FigureRow(
            .memoryBlocksUsed, "blocks_used", .memory,
            "Blocks that input, output and mail hold."),
        FigureRow(.memoryBlocksKept, "blocks_kept", .memory, "Blocks kept for reuse."),
        FigureRow(
            .memoryReceiveBuffers, "receive_buffers", .memory,
            "Where the kernel writes what it receives, touched or not."),
    ]
}
