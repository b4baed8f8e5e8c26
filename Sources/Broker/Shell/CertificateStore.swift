import Base
import EventLoops
import Policy

/// The TLS contexts of all sealed listeners, made from their files at start and anew at a reload.
///
/// A reload replaces all of them or, if one file is broken, none. Connections keep the context
/// that they began with. Used by the thread that starts and reloads the node.
package final class CertificateStore {
    private struct Entry {
        var listener: ListenerConfiguration
        let contexts: TLSContextStore
        /// Outlives the context, so that clients resume after a reload.
        let ticketKeys: TLSTicketKeys
    }

    /// Days before the end of a certificate from which on its expiry is told.
    package static let noticeDays = 30

    private var entries: [Entry] = []
    private var expiries: [TLSContext.Expiry] = []
    /// What an operator should know of the certificates that are served now.
    package private(set) var warnings: [String] = []

    /// Loads the files of every listener that speaks TLS.
    package init(_ listeners: [ListenerConfiguration]) throws(TLSError) {
        for listener in listeners where listener.kind.usesTLS {
            let ticketKeys = TLSTicketKeys()
            let context = try TLSContext.server(
                TLSServerOptions(listener), ticketKeys: ticketKeys)
            warnings += context.warnings
            expiries += context.expiries
            entries.append(
                Entry(
                    listener: listener, contexts: TLSContextStore(context),
                    ticketKeys: ticketKeys))
        }
    }

    package var isEmpty: Bool { entries.isEmpty }

    func context(of listener: String) -> TLSContextStore? {
        entries.first { $0.listener.name == listener }?.contexts
    }

    /// One event for each certificate that runs out soon, or has: negative days then.
    package func expiring(_ now: WallTime) -> [NodeEvent] {
        expiries.compactMap { expiry in
            let left = Int64(clamping: expiry.at.milliseconds) - Int64(clamping: now.milliseconds)
            let days = Int((Double(left) / 86_400_000).rounded(.down))
            guard days <= Self.noticeDays else { return nil }
            return .certificateExpiring(path: expiry.path, days: days)
        }
    }

    /// Reads the files anew. Of a listener's options only those of files count: what else has
    /// changed waits for a restart, and so do new listeners.
    package func reload(_ listeners: [ListenerConfiguration]) throws(TLSError) {
        var fresh: [TLSContext] = []
        var changed = entries
        for index in changed.indices {
            if let said = listeners.first(where: {
                $0.name == changed[index].listener.name && $0.kind.usesTLS
            }) {
                changed[index].listener.certificates = said.certificates
                changed[index].listener.keys = said.keys
                changed[index].listener.authorities = said.authorities
                changed[index].listener.revocationLists = said.revocationLists
            }
            fresh.append(
                try TLSContext.server(
                    TLSServerOptions(changed[index].listener),
                    ticketKeys: changed[index].ticketKeys))
        }
        entries = changed
        warnings = fresh.flatMap(\.warnings)
        expiries = fresh.flatMap(\.expiries)
        for (entry, context) in zip(entries, fresh) { entry.contexts.replace(with: context) }
    }
}
