import Base

/// What the tenants hold in the ranges homed on one worker: counted by the machines as commands
/// are applied, taken by the worker once per turn.
///
/// One per worker, shared by its machines, so that what moves from one half of a cut to the other
/// changes nothing. Bounded by the tenants that hold something.
package final class UsageLedger {
    /// Amounts of one tenant, or what they have changed by.
    package struct Amounts: Equatable {
        package var storedSessions = 0
        package var storedBytes = 0
        package var subscriptions = 0
        package var sharedSubscriptions = 0
        package var retainedTopics = 0
        package var retainedBytes = 0

        static func - (left: Amounts, right: Amounts) -> Amounts {
            var difference = Amounts()
            difference.storedSessions = left.storedSessions - right.storedSessions
            difference.storedBytes = left.storedBytes - right.storedBytes
            difference.subscriptions = left.subscriptions - right.subscriptions
            difference.sharedSubscriptions = left.sharedSubscriptions - right.sharedSubscriptions
            difference.retainedTopics = left.retainedTopics - right.retainedTopics
            difference.retainedBytes = left.retainedBytes - right.retainedBytes
            return difference
        }
    }

    /// One tenant's line: machines keep it as long as they hold something of the tenant.
    package final class Line {
        package let tenant: [UInt8]
        private unowned let ledger: UsageLedger
        package var amounts = Amounts() {
            didSet {
                if !isChanged { ledger.changed.append(self) }
                isChanged = true
            }
        }
        /// What the worker was last told.
        fileprivate var told = Amounts()
        fileprivate var isChanged = false

        fileprivate init(_ tenant: [UInt8], _ ledger: UsageLedger) {
            self.tenant = tenant
            self.ledger = ledger
        }
    }

    private var lines: [[UInt8]: Line] = [:]
    private var changed: [Line] = []

    package init() {}

    package var isUnchanged: Bool { changed.isEmpty }

    /// The line of a tenant, made with the first call.
    package func line(of tenant: [UInt8]) -> Line {
        if let line = lines[tenant] { return line }
        let line = Line(tenant, self)
        lines[tenant] = line
        return line
    }

    /// What a tenant holds.
    package func amounts(of tenant: [UInt8]) -> Amounts { lines[tenant]?.amounts ?? Amounts() }

    /// Hands out what has changed since the last call.
    package func drain(_ body: (_ tenant: [UInt8], _ changes: Amounts) -> Void) {
        for line in changed {
            line.isChanged = false
            let changes = line.amounts - line.told
            line.told = line.amounts
            if changes != Amounts() { body(line.tenant, changes) }
            // A machine that still has the line may go on with it: changes add up all the same.
            if line.amounts == Amounts() { lines[line.tenant] = nil }
        }
        changed.removeAll(keepingCapacity: true)
    }
}
