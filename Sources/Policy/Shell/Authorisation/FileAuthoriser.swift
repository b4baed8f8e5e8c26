import Base

/// Judges by the rules of an access file, which can be changed while clients are connected.
package final class FileAuthoriser: Authoriser {
    /// Sets of permissions kept for sharing; with more, further ones are not shared.
    package static let sharedMax = 4_096

    private struct Contents {
        var table: AccessTable
        var shared: [[Int]: CompiledPermissions] = [:]
    }

    private let contents: Guarded<Contents>
    private let published = AtomicCells(count: 1)

    package init(_ table: AccessTable) {
        contents = Guarded(Contents(table: table))
        published.publish(0, 1)
    }

    package var epoch: UInt64 { published.acquire(0) }

    /// Takes rules that were read anew; loops notice by the epoch.
    package func reload(_ table: AccessTable) {
        contents.withLock { $0 = Contents(table: table) }
        published.add(0, 1)
    }

    package func permissions(for client: ClientIdentity) -> Permissions {
        if client.isSuperuser { return .everything }
        return .compiled(compiled(for: client))
    }

    package func judge(
        _ action: AccessAction, of client: ClientIdentity,
        _ completion: @escaping AccessCompletion
    ) -> AccessVerdict? {
        client.isSuperuser
            ? .allowed(needsDeliveryCheck: false) : compiled(for: client).judge(action, of: client)
    }

    private func compiled(for client: ClientIdentity) -> CompiledPermissions {
        contents.withLock { contents in
            let numbers = contents.table.numbers(for: client)
            if let known = contents.shared[numbers] { return known }
            let compiled = contents.table.compile(numbers)
            if contents.shared.count < Self.sharedMax { contents.shared[numbers] = compiled }
            return compiled
        }
    }
}

/// Allows everything: what holds without an access file.
package struct OpenAuthoriser: Authoriser {
    package init() {}

    package var epoch: UInt64 { 1 }

    package func permissions(for client: ClientIdentity) -> Permissions { .everything }

    package func judge(
        _ action: AccessAction, of client: ClientIdentity,
        _ completion: @escaping AccessCompletion
    ) -> AccessVerdict? { .allowed(needsDeliveryCheck: false) }
}
