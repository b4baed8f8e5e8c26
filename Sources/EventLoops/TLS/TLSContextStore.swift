import Base

/// The context that new connections of a listener get; swapped at a reload. Locked for a moment
/// per accepted connection, never on the data path.
package final class TLSContextStore: Sendable {
    private let state: Guarded<TLSContext>

    package init(_ context: TLSContext) { state = Guarded(context) }

    package var current: TLSContext { state.withLock { $0 } }

    /// Connections accepted from now on get `context`; others keep theirs.
    package func replace(with context: TLSContext) { state.withLock { $0 = context } }
}
