import Base
import Broker

/// What the HTTP port knows beside the node: its keys, its version, and how much it is doing.
///
/// Shared by the port's threads and by the one that reloads.
package final class AdminState: Sendable {
    private struct Counts {
        var requests = 0
        var open = 0
    }

    package let version: String
    package let startedAtMilliseconds: UInt64
    private let keys: Guarded<APIKeyTable>
    private let counts = Guarded(Counts())

    package init(version: String, startedAtMilliseconds: UInt64, keys: APIKeyTable) {
        self.version = version
        self.startedAtMilliseconds = startedAtMilliseconds
        self.keys = Guarded(keys)
    }

    /// Puts a reloaded file's keys in force.
    package func replaceKeys(_ table: APIKeyTable) { keys.withLock { $0 = table } }

    var keyTable: APIKeyTable { keys.withLock { $0 } }

    /// Requests since the start, and those being carried out.
    package var requestCount: Int { counts.withLock { $0.requests } }
    package var openCount: Int { counts.withLock { $0.open } }

    /// Counts a request; false if as many are open as may be.
    func begin() -> Bool {
        counts.withLock { counts in
            counts.requests += 1
            guard counts.open < AdminLimits.requestsMax else { return false }
            counts.open += 1
            return true
        }
    }

    func end() { counts.withLock { $0.open -= 1 } }
}
