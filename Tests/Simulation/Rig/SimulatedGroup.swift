import MQTT

/// The members of one shared subscription: some that come and go, and a steady one, which is never
/// without its subscription (its session is stored, or nobody disturbs it).
package final class SimulatedGroup {
    /// The steady one is the last.
    package let members: [SimulatedActor]
    package private(set) var journal: GroupJournal

    package init(_ rig: Rig, _ filter: String, members: Int, isSteadyStored: Bool) {
        let parts = filter.split(separator: "/", maxSplits: 2)
        let name = parts.count > 1 ? String(parts[1]) : filter
        journal = GroupJournal(filter: filter)
        self.members =
            (0..<members).map {
                SimulatedActor(rig, "member-\(name)\($0)", .subscriber(filter), isStored: false)
            } + [
                SimulatedActor(
                    rig, "steady-\(name)", .subscriber(filter), isStored: isSteadyStored,
                    isLeftAlone: !isSteadyStored)
            ]
    }

    /// The filter without group and prefix.
    package var innerFilter: String {
        journal.filter.split(separator: "/", maxSplits: 2).last.map(String.init) ?? ""
    }

    package func note(_ step: Int) {
        guard let steady = members.last else { return }
        journal.note(members, steady: steady, step)
    }

    package func judge(
        _ owed: [(payload: String, qos: QoS, step: Int)], _ repeated: Set<String>,
        _ journal: inout Journal
    ) {
        let failures =
            self.journal.losses(owed, isStored: members.map(\.isStored))
            + self.journal.repeats(isRepeated: repeated.contains)
        for failure in failures { journal.fail(failure) }
    }
}
