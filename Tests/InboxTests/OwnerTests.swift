import Base
import Inbox
import KV
import Testing

@Suite("Owners of client ids")
struct OwnerTests {
    let host = InboxHarness()

    func answer(_ ticket: UInt64, _ host: InboxHarness) -> ClaimAnswer? {
        host.answers[ticket].flatMap { ClaimAnswer.decode($0) }
    }

    /// Lets a client claim, and returns its ticket.
    func claim(_ name: String, token: UInt64, principal: String = "user", binds: Bool = true)
        -> UInt64
    {
        host.ask(TestClient(name, token: token).claim(principal: principal, binds: binds))
    }

    func release(_ name: String, _ epoch: OwnerEpoch) {
        host.send(.ownerReleased) {
            OwnerReleasedMessage(session: TestClient(name).session, ownerEpoch: epoch)
                .encode(into: &$0)
        }
    }

    @Test("A free client id is granted at once, above the term's first epoch")
    func free() throws {
        let granted = try #require(answer(claim("anna", token: 1), host))
        #expect(granted.status == .ok && !granted.hasRecord)
        #expect(granted.ownerEpoch.rawValue == (1 << 32) + 1)
        let other = try #require(answer(claim("bert", token: 2), host))
        #expect(other.ownerEpoch > granted.ownerEpoch)
    }

    @Test("A second connection waits until the first has released")
    func takeover() throws {
        let first = try #require(answer(claim("anna", token: 1), host))
        let second = claim("anna", token: 2)
        #expect(answer(second, host) == nil)
        let evicted = try #require(host.takeEvictions().first)
        #expect(evicted.connectionToken == 1 && evicted.ownerEpoch == first.ownerEpoch)
        #expect(evicted.reason == .takenOver)
        release("anna", first.ownerEpoch)
        let granted = try #require(answer(second, host))
        #expect(granted.status == .ok && granted.ownerEpoch > first.ownerEpoch)
        // The old word of release frees nobody else.
        release("anna", first.ownerEpoch)
        #expect(answer(claim("anna", token: 3), host) == nil)
    }

    @Test("Several claimants come in order, each evicted for the next; the newest stays")
    func line() throws {
        var owner = try #require(answer(claim("anna", token: 1), host))
        let tickets = (2...4).map { claim("anna", token: UInt64($0)) }
        _ = host.takeEvictions()
        for (step, ticket) in tickets.enumerated() {
            release("anna", owner.ownerEpoch)
            let next = try #require(answer(ticket, host))
            #expect(next.ownerEpoch > owner.ownerEpoch)
            owner = next
            let evicted = host.takeEvictions().map(\.connectionToken)
            #expect(evicted == (step < 2 ? [UInt64(step + 2)] : []))
        }
    }

    @Test("A full line gives up its oldest claimant")
    func bounded() throws {
        _ = claim("anna", token: 1)
        let first = claim("anna", token: 2)
        for token in 3..<UInt64(3 + InboxLimits.claimsWaitingMax) {
            _ = claim("anna", token: token)
        }
        #expect(answer(first, host)?.status == .superseded)
        #expect(host.answers.count == 2)
    }

    @Test("A repeated claim is harmless: an owner hears its epoch again, a waiter keeps its place")
    func repeats() throws {
        let owner = try #require(answer(claim("anna", token: 1), host))
        #expect(answer(claim("anna", token: 1), host)?.ownerEpoch == owner.ownerEpoch)
        let waiting = claim("anna", token: 2)
        let again = claim("anna", token: 2)
        #expect(answer(waiting, host)?.status == .repeated)
        #expect(host.takeEvictions().count == 2)
        release("anna", owner.ownerEpoch)
        #expect(answer(again, host)?.status == .ok)
    }

    @Test("A client id is bound to the principal of its owner and of its stored session")
    func principals() throws {
        _ = claim("anna", token: 1)
        #expect(answer(claim("anna", token: 2, principal: "eve"), host)?.status == .notAuthorised)
        #expect(host.takeEvictions().isEmpty)
        #expect(answer(claim("anna", token: 3, principal: "eve", binds: false), host) == nil)
        var bert = TestClient("bert")
        try bert.connect(host)
        bert.disconnect(host)
        #expect(answer(claim("bert", token: 2, principal: "eve"), host)?.status == .notAuthorised)
        #expect(answer(claim("bert", token: 2), host)?.status == .ok)
    }

    @Test("The same client id of another tenant is another client")
    func tenants() throws {
        _ = claim("anna", token: 1)
        var other = TestClient("anna").session
        other.tenant = Array("other".utf8)
        let ticket = host.ask(
            .claim(
                ClaimQuestion(
                    session: other, principal: [], place: InboxHarness.home, connectionToken: 9,
                    bindsPrincipal: true)))
        #expect(answer(ticket, host)?.status == .ok)
    }

    @Test("A replica that does not lead grants nothing")
    func notLeader() {
        host.machine.leadershipChanged(nil, output: host.output)
        host.settle()
        #expect(answer(claim("anna", token: 1), host)?.status == .notLeader)
    }

    @Test("A new leader knows attached sessions from the log, and its epochs are higher")
    func newLeader() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        let other = host.rebuilt()
        other.term = 2
        other.lead()
        anna.token = 2
        let ticket = other.ask(anna.claim())
        #expect(answer(ticket, other) == nil)
        #expect(other.takeEvictions().map(\.connectionToken) == [1])
        anna.release(other)
        let granted = try #require(answer(ticket, other))
        #expect(granted.ownerEpoch.rawValue > 2 << 32)
        #expect(granted.hasStoredSession && granted.incarnation == anna.incarnation)
    }

    @Test("A new leader with a lower term still gives higher epochs")
    func lowTerm() throws {
        host.term = 9
        host.lead()
        var anna = TestClient("anna")
        try anna.connect(host)
        anna.disconnect(host)
        let other = host.rebuilt()
        other.term = 1
        other.lead()
        let granted = try #require(answer(other.ask(anna.claim()), other))
        #expect(granted.ownerEpoch > anna.epoch)
    }

    @Test("An announced owner is evicted like any other, and a fenced place releases its owners")
    func announcedAndFenced() throws {
        let far = Place(node: NodeID(2), worker: WorkerIndex(3))
        host.send(.ownerAnnounce, from: far) {
            OwnerAnnounceMessage(
                session: TestClient("anna").session, principal: Array("user".utf8),
                ownerEpoch: OwnerEpoch(77 << 32), connectionToken: 5
            ).encode(into: &$0)
        }
        let ticket = claim("anna", token: 6)
        #expect(answer(ticket, host) == nil)
        #expect(host.take(.ownerEvict).map(\.place) == [far])
        host.send(.ownersFenced) {
            InboxMachine.encodeOwnersFenced(
                Place(node: far.node, worker: WorkerIndex(0xFFFF)), into: &$0)
        }
        let granted = try #require(answer(ticket, host))
        #expect(granted.ownerEpoch.rawValue > 77 << 32)
    }

    @Test("An attach with an older owner epoch than the session's is refused")
    func staleAttach() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        let result = host.apply(
            .attach(
                AttachCommand(
                    session: anna.session, principal: [],
                    ownerEpoch: OwnerEpoch(anna.epoch.rawValue - 1), place: anna.place,
                    connectionToken: 8, cleanStart: true, expirySeconds: 0,
                    limits: .init(messagesMax: 1, bytesMax: 1, policy: .reject))))
        #expect(InboxResult.status(of: result) == .staleOwner)
        #expect(host.show(anna)?.isStored == true)
    }

    @Test("A detach with an older owner epoch than the session's leaves it attached")
    func staleDetach() throws {
        var anna = TestClient("anna")
        try anna.connect(host)
        var old = anna
        old.epoch = OwnerEpoch(anna.epoch.rawValue - 1)
        let result = host.apply(
            .detach(
                DetachCommand(
                    session: old.session, ownerEpoch: old.epoch, reason: .connectionLost,
                    expirySeconds: 0, sentThrough: 0)))
        #expect(InboxResult.status(of: result) == .staleOwner)
        #expect(host.show(anna)?.isStored == true)
        #expect(anna.disconnect(host) != nil)
    }

    @Test("Ten thousand owners take at most 64 bytes each besides client id and principal")
    func memory() {
        for number in 0..<10_000 { _ = claim("client-\(number)", token: UInt64(number)) }
        #expect(host.machine.metrics.owners == 10_000)
        #expect(host.machine.metrics.ownerBytes / 10_000 <= 64)
    }
}
