import Base
import Broker
import Policy

/// The outside of one simulated worker: connections as byte arrays, authenticators that let
/// everyone in, at once or some turns later.
///
/// The second conformer of `WorkerPort`. Keeps what the worker writes until the rig's clients take
/// it, and tells the rig what was closed; it never calls the worker.
package final class RigPort: WorkerPort {
    /// One connection as its worker sees it.
    package struct Connection {
        package var slot: Int32 = -1
        /// Sent by the client and not yet consumed by the worker.
        package var input: [UInt8] = []
        /// Written by the worker and not yet taken by the client.
        package var output: [UInt8] = []
        package var inputLimit = Int.max
        package var isPaused = false
        /// The worker has closed it; the rig confirms in the next turn.
        package var isClosing = false
        /// The client has gone; the worker hears of it in the next turn.
        package var isLost = false
        /// How, then.
        package var loss = ConnectionEnd.peerClosed
        /// Output was above the low watermark's height, so that draining it is news.
        package var wasFull = false
    }

    package private(set) var connections: [ConnectionKey: Connection] = [:]
    /// Questions to the authenticator that are answered later.
    package private(set) var questions: [(token: UInt64, result: AuthenticationResult)] = []
    /// Answers of the query door in the order in which they came.
    package private(set) var doorAnswers: [(ticket: UInt64, answer: [UInt8])] = []
    /// Bytes that other workers have not taken, as this one is told.
    package var backlog = 0
    private var random: SeededRandom
    private let lateAnswerPercent: Int
    private let authenticator: (any Authenticator)?
    private let authoriser: (any Authoriser)?
    /// Answers of the authenticator and of the authoriser that came later.
    private let lateResults = Guarded<[(token: UInt64, result: AuthenticationResult)]>([])
    private let verdicts = Guarded<[(token: UInt64, verdict: AccessVerdict)]>([])
    /// Room that the worker is writing into.
    private var claims: [ConnectionKey: UnsafeMutableRawPointer] = [:]
    private static let outputHigh = 1 << 20

    package init(random: SeededRandom, _ options: RigOptions) {
        self.random = random
        lateAnswerPercent = options.lateAnswerPercent
        authenticator = options.authenticator
        authoriser = options.authoriser
    }

    deinit { for place in claims.values { place.deallocate() } }

    // MARK: For the rig

    package func open(_ key: ConnectionKey) { connections[key] = Connection() }
    package func remove(_ key: ConnectionKey) { connections[key] = nil }

    package subscript(key: ConnectionKey) -> Connection? { connections[key] }

    package func update(_ key: ConnectionKey, _ change: (inout Connection) -> Void) {
        guard var connection = connections[key] else { return }
        change(&connection)
        connections[key] = connection
    }

    /// Everything written so far that the client has not had.
    package func takeOutput(_ key: ConnectionKey) -> [UInt8] {
        guard let output = connections[key]?.output else { return [] }
        update(key) {
            $0.wasFull = $0.wasFull || $0.output.count > Self.outputHigh
            $0.output = []
        }
        return output
    }

    package func takeQuestions() -> [(token: UInt64, result: AuthenticationResult)] {
        defer { questions = [] }
        return questions
            + lateResults.withLock { results in
                defer { results = [] }
                return results
            }
    }

    package func takeVerdicts() -> [(token: UInt64, verdict: AccessVerdict)] {
        verdicts.withLock { verdicts in
            defer { verdicts = [] }
            return verdicts
        }
    }

    // MARK: WorkerPort

    package func claimOutput(
        _ connection: ConnectionKey, atLeast count: Int
    ) -> UnsafeMutableRawBufferPointer {
        invariant(claims[connection] == nil, "output is claimed twice")
        // Often just what was asked for, so that claims end at every place.
        let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: random.chance(percent: 50) ? count : count + random.below(200),
            alignment: 16)
        claims[connection] = room.baseAddress
        return room
    }

    package func commitOutput(
        _ connection: ConnectionKey, _ start: UnsafeMutableRawPointer, _ count: Int,
        sharedCount: Int
    ) {
        append(connection, UnsafeRawBufferPointer(start: start, count: count))
        claims.removeValue(forKey: connection)?.deallocate()
    }

    package func appendShared(
        _ connection: ConnectionKey, _ block: SharedBlock, _ part: Range<Int>
    ) {
        append(connection, UnsafeRawBufferPointer(rebasing: block.bytes[part]))
    }

    private func append(_ key: ConnectionKey, _ bytes: UnsafeRawBufferPointer) {
        update(key) { if !$0.isClosing, !$0.isLost { $0.output += bytes } }
    }

    package func outputCount(_ connection: ConnectionKey) -> Int {
        invariant(claims[connection] == nil, "output is asked for while it is claimed")
        return connections[connection]?.output.count ?? 0
    }

    package func close(_ connection: ConnectionKey, afterFlush: Bool) {
        invariant(claims[connection] == nil, "closed while output is claimed")
        update(connection) {
            if !afterFlush { $0.output = [] }
            $0.isClosing = true
        }
    }

    package func pauseInput(_ connection: ConnectionKey) {
        update(connection) { $0.isPaused = true }
    }

    package func resumeInput(_ connection: ConnectionKey) {
        update(connection) { $0.isPaused = false }
    }

    package func setInputLimit(_ connection: ConnectionKey, _ byteCount: Int) {
        update(connection) { $0.inputLimit = byteCount }
    }

    package func backlog(to place: Place) -> Int { backlog }

    package func permissions(for client: ClientIdentity) -> Permissions {
        authoriser?.permissions(for: client) ?? .everything
    }

    package var authoriserEpoch: UInt64 { authoriser?.epoch ?? 0 }

    package func judge(
        _ action: AccessAction, of client: ClientIdentity, token: UInt64
    ) -> AccessVerdict? {
        guard let authoriser else { return .allowed(needsDeliveryCheck: false) }
        let verdicts = verdicts
        return authoriser.judge(action, of: client) { verdict in
            verdicts.withLock { $0.append((token, verdict)) }
        }
    }

    package func describe(_ connection: ConnectionKey, listener: UInt16) -> OutsideView {
        OutsideView(
            peer: "127.0.0.1:\(connection.rawValue)", listener: "rig", isWebSocket: false)
    }

    package func answerDoor(_ ticket: UInt64, _ answer: [UInt8]) {
        doorAnswers.append((ticket, answer))
    }

    package func fill(_ figures: inout WorkerFigures) {}

    package func authenticate(
        _ request: AuthenticationRequest, token: UInt64
    ) -> AuthenticationResult? {
        if let authenticator {
            let results = lateResults
            return authenticator.authenticate(request) { result in
                results.withLock { $0.append((token, result)) }
            }
        }
        if request.method != nil { return .notMine }
        let result = AuthenticationResult.accepted(
            TenantRule().principal(request.username ?? "", request))
        guard random.chance(percent: lateAnswerPercent) else { return result }
        questions.append((token, result))
        return nil
    }

    package func continueAuthentication(
        _ exchange: any AuthenticationExchange, _ data: [UInt8], token: UInt64
    ) -> AuthenticationResult? {
        let results = lateResults
        return exchange.receive(data) { result in
            results.withLock { $0.append((token, result)) }
        }
    }
}
