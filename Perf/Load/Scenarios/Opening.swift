import Base

/// Opens the groups of a run one after the other, and ends what they leave in the broker.
struct Opening {
    let run: LoadRun
    let options: LoadOptions

    init(_ run: LoadRun, _ options: LoadOptions) {
        self.run = run
        self.options = options
    }

    func openAll(_ observer: any RunObserver) throws {
        for group in run.plan.groups.indices {
            let plan = run.plan.groups[group]
            observer.began("opening \(plan.count) of \(plan.name)")
            try open(group)
        }
    }

    /// Opens a group and waits until all of its clients are ready; `meanwhile` is called often.
    func open(_ group: Int, forgets: Bool = false, meanwhile: () -> Void = {}) throws {
        let before = run.counters
        let count = UInt64(run.plan.groups[group].count)
        run.open(group, perSecond: options.connectsPerSecond, forgets: forgets)
        run.wait(limit(group)) {
            meanwhile()
            return run.counters.opened >= before.opened + count
                || run.counters.abandoned > before.abandoned
        }
        let opened = run.counters.opened - before.opened
        guard opened >= count else {
            let reason = run.failures.first?.text ?? "no answer in time"
            throw ScenarioError(
                "\(opened) of \(count) clients of \(run.plan.groups[group].name) became "
                    + "ready: \(reason)")
        }
    }

    /// Ends a group's connections and waits until they are gone.
    func close(_ group: Int, isAbrupt: Bool = false) {
        let before = run.counters.ready
        run.close(group, isAbrupt: isAbrupt)
        let count = UInt64(run.plan.groups[group].count)
        run.wait(.seconds(10)) { run.counters.ready + min(count, before) <= before }
    }

    /// Stored sessions begin anew and end at once: nothing of them stays.
    func forget(_ group: Int) throws {
        close(group)
        try open(group, forgets: true)
        close(group)
    }

    private func limit(_ group: Int) -> Duration {
        let count = Double(run.plan.groups[group].count)
        let paced = options.connectsPerSecond > 0 ? count / options.connectsPerSecond : 0
        return .seconds(60 + Int(paced + count / 500))
    }
}
