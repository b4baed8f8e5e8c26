/// What one worker holds at this moment, as counts. A worker without clients holds nothing of it:
/// that is how tests prove that everything is given back.
package struct WorkerLoad: Equatable, Sendable {
    /// Connections, those that are ending included.
    package var sessions = 0
    /// Publishes whose groups of receivers have not all answered.
    package var trackers = 0
    /// Messages that have not reached all of their receivers, by topic.
    package var fanOuts = 0
    /// Commands and questions without an answer.
    package var operations = 0
    /// Topics whose routes are asked for.
    package var questions = 0
    /// Bytes of publishes that wait behind such a question.
    package var parkedBytes = 0
    /// Filters that sessions of this worker subscribe to.
    package var subscriptions = 0

    package init() {}
}

extension Worker {
    package var load: WorkerLoad {
        var load = WorkerLoad()
        load.sessions = sessions.count
        load.trackers = trackers.count
        load.fanOuts = fanOuts.count
        load.operations = operations.count
        load.questions = matches.count
        load.parkedBytes = parkedBytes
        load.subscriptions = Int(metrics.subscriptions)
        return load
    }
}
