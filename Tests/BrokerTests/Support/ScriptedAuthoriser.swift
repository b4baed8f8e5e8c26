import Base
import Policy

/// An authoriser that wants to be asked for everything, and answers by a script: at once, when the
/// test says so, or never.
final class ScriptedAuthoriser: Authoriser {
    enum Answer: Sendable {
        case now(AccessVerdict)
        case later(AccessVerdict)
        case never
    }

    private struct State: Sendable {
        var epoch: UInt64 = 1
        var script: @Sendable (AccessAction) -> Answer
        var asked: [AccessAction] = []
        var waiting: [@Sendable () -> Void] = []
    }

    static let free = AccessVerdict.allowed(needsDeliveryCheck: false)
    static let no = AccessVerdict.denied(reason: "the script")
    static let failed = AccessVerdict.failed(reason: "the script")

    private let state: Guarded<State>

    init(_ script: @escaping @Sendable (AccessAction) -> Answer) {
        state = Guarded(State(script: script))
    }

    var epoch: UInt64 { state.withLock { $0.epoch } }

    /// Other answers from now on, to be noticed by live sessions.
    func change(_ script: @escaping @Sendable (AccessAction) -> Answer) {
        state.withLock {
            $0.script = script
            $0.epoch += 1
        }
    }

    func permissions(for client: ClientIdentity) -> Permissions { .ask }

    func judge(
        _ action: AccessAction, of client: ClientIdentity,
        _ completion: @escaping AccessCompletion
    ) -> AccessVerdict? {
        state.withLock { state in
            state.asked.append(action)
            switch state.script(action) {
            case .now(let verdict): return verdict
            case .never: return nil
            case .later(let verdict):
                state.waiting.append { completion(verdict) }
                return nil
            }
        }
    }

    /// What was asked so far.
    var asked: [AccessAction] { state.withLock { $0.asked } }

    var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// Gives the answers that wait, the latest first if `backwards`.
    func answer(backwards: Bool = false) {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for completion in backwards ? waiting.reversed() : waiting { completion() }
    }
}
