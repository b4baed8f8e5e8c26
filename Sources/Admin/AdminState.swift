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
    private let bodyLimit: Guarded<Int>
    private let counts = Guarded(Counts())

    package init(
        version: String, startedAtMilliseconds: UInt64, keys: APIKeyTable, bodyBytesMax: Int
    ) {
        self.version = version
        self.startedAtMilliseconds = startedAtMilliseconds
        self.keys = Guarded(keys)
        bodyLimit = Guarded(bodyBytesMax)
    }

    /// Puts what was reloaded in force.
    package func reload(keys table: APIKeyTable, bodyBytesMax: Int) {
        keys.withLock { $0 = table }
        bodyLimit.withLock { $0 = bodyBytesMax }
    }

    /// Bytes of a request's body.
    var bodyBytesMax: Int { bodyLimit.withLock { $0 } }

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
