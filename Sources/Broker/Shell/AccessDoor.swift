import Base
import EventLoops
import Policy

/// Who decides about clients, and where their late answers wait for the loop that asked.
///
/// Shared by all loops. Answers come from any thread; the loop is woken and takes them at the end
/// of its turn. Bounded by the connections that authenticate at once, and by the questions that a
/// worker has open (`WorkerLimits.accessJudgementsMax`).
final class AccessDoor: Sendable {
    private let authenticator: any Authenticator
    private let authoriser: (any Authoriser)?
    let results: LateAnswers<AuthenticationResult>
    let verdicts: LateAnswers<AccessVerdict>

    /// Without an authoriser everything is allowed.
    init(authenticator: any Authenticator, authoriser: (any Authoriser)?, workers: Int) {
        self.authenticator = authenticator
        self.authoriser = authoriser
        results = LateAnswers(workers: workers)
        verdicts = LateAnswers(workers: workers)
    }

    /// The loops' handles, once they run.
    func connect(_ loops: [LoopHandle]) {
        results.connect(loops)
        verdicts.connect(loops)
    }

    func authenticate(
        _ request: AuthenticationRequest, worker: WorkerIndex, token: UInt64
    ) -> AuthenticationResult? {
        let results = results
        return authenticator.authenticate(request) { result in
            results.put(result, worker: worker, token: token)
        }
    }

    func continueAuthentication(
        _ exchange: any AuthenticationExchange, _ data: [UInt8], worker: WorkerIndex,
        token: UInt64
    ) -> AuthenticationResult? {
        let results = results
        return exchange.receive(data) { result in
            results.put(result, worker: worker, token: token)
        }
    }

    func permissions(for client: ClientIdentity) -> Permissions {
        authoriser?.permissions(for: client) ?? .everything
    }

    func judge(
        _ action: AccessAction, of client: ClientIdentity, worker: WorkerIndex, token: UInt64
    ) -> AccessVerdict? {
        guard let authoriser else { return .allowed(needsDeliveryCheck: false) }
        let verdicts = verdicts
        return authoriser.judge(action, of: client) { verdict in
            verdicts.put(verdict, worker: worker, token: token)
        }
    }

    var authoriserEpoch: UInt64 { authoriser?.epoch ?? 0 }
}

/// Answers of authenticators and authorisers on their way to the loops that asked.
final class LateAnswers<Answer: Sendable>: Sendable {
    private let waiting: Guarded<[[(token: UInt64, answer: Answer)]]>
    private let handles: Guarded<[LoopHandle]>

    init(workers: Int) {
        waiting = Guarded(Array(repeating: [], count: workers))
        handles = Guarded([])
    }

    func connect(_ loops: [LoopHandle]) { handles.withLock { $0 = loops } }

    func put(_ answer: Answer, worker: WorkerIndex, token: UInt64) {
        waiting.withLock { $0[Int(worker.rawValue)].append((token, answer)) }
        let handle = handles.withLock { handles in
            handles.first { $0.worker == worker }
        }
        _ = handle?.post([])
    }

    func take(_ worker: WorkerIndex) -> [(token: UInt64, answer: Answer)] {
        waiting.withLock { waiting in
            let mine = waiting[Int(worker.rawValue)]
            if !mine.isEmpty { waiting[Int(worker.rawValue)] = [] }
            return mine
        }
    }
}
