/// What one worker has done since its start, as plain counters of its loop; summed by Admin.
package struct WorkerMetrics: Sendable {
    package var connectionsAccepted: UInt64 = 0
    package var connectionsClosed: UInt64 = 0
    package var sessionsLive: UInt64 = 0
    /// Stored ones among them.
    package var storedLive: UInt64 = 0
    package var packetsIn: UInt64 = 0
    package var packetsOut: UInt64 = 0
    package var badPackets: UInt64 = 0
    package var publishesIn: UInt64 = 0
    package var publishesOut: UInt64 = 0
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0
    /// Messages that had to wait in a transient session's queue.
    package var queued: UInt64 = 0
    /// Acknowledgements for packet ids that nothing is known of.
    package var strayAcknowledgements: UInt64 = 0
    /// Publishes that waited for an answer about their topic's routes.
    package var parked: UInt64 = 0
    package var subscriptions: UInt64 = 0
    package var retainedSet: UInt64 = 0
    package var deliveriesSent: UInt64 = 0
    package var deliveriesReceived: UInt64 = 0
    /// Deliveries to a group's member that had gone or had no room.
    package var deliveriesReturned: UInt64 = 0
    /// Messages that reached their receivers in slices, and those slices.
    package var fanOutsSliced: UInt64 = 0
    package var fanOutSlices: UInt64 = 0
    /// How often a connection's input had to wait for the next turn.
    package var inputsYielded: UInt64 = 0
    /// Lanes that had to finish at once because too much waited.
    package var fanOutsRushed: UInt64 = 0

    package var damagedFrames: UInt64 = 0
    package var staleRoutes: UInt64 = 0
    package var insertsRefused: UInt64 = 0
    /// Publishes that nobody receives.
    package var unmatched: UInt64 = 0
    package var groupPushes: UInt64 = 0
    /// Messages of members whose connection ended, given back to their group.
    package var groupReturns: UInt64 = 0
    /// Of them, and of other changes of a group's inbox, those beyond `groupRetriesMax`.
    package var groupRetriesLost: UInt64 = 0
    /// Routes whose removal was refused: they lead nowhere and go with the node's epoch.
    package var routesLeftBehind: UInt64 = 0
    /// Commands whose outcome could not be learnt: the connection was closed without an answer.
    package var outcomesUnknown: UInt64 = 0
    /// CONNECTs refused because the node had no room for more.
    package var connectsShed: UInt64 = 0
    /// Clients disconnected because memory was used up.
    package var clientsShed: UInt64 = 0
    /// Turns that took longer than the limit for a loop's lag.
    package var lateTurns: UInt64 = 0
    package var doorRequests: UInt64 = 0

    package init() {}
}
