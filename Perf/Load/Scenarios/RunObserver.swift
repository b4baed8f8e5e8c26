import PerfReport

/// Who wants to hear of a run while it goes on: a terminal, a file of lines, nobody.
package protocol RunObserver: AnyObject {
    /// A phase begins.
    func began(_ phase: String)
    func head(_ head: RunHead)
    func sample(_ sample: RunSample)
    func fault(_ fault: RunFault)
    func end(_ end: RunEnd, _ outcome: LoadOutcome)
}

/// Hears everything and keeps it: for tests, and for modes that repeat runs.
package final class RunMemory: RunObserver {
    package private(set) var phases: [String] = []
    package private(set) var record: RunRecord?
    package private(set) var outcome: LoadOutcome?

    package init() {}

    package func began(_ phase: String) { phases.append(phase) }
    package func head(_ head: RunHead) { record = RunRecord(head: head) }
    package func sample(_ sample: RunSample) { record?.samples.append(sample) }
    package func fault(_ fault: RunFault) { record?.faults.append(fault) }
    package func end(_ end: RunEnd, _ outcome: LoadOutcome) {
        record?.end = end
        self.outcome = outcome
    }
}
