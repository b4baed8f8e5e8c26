import Base
import Inbox
import KV
import Testing

@Suite("Inboxes of shared groups")
struct GroupTests {
    let host: InboxHarness
    let group = SessionName(
        tenant: InboxHarness.tenant,
        clientID: InboxKeys.groupID(
            share: "$share", group: Array("g".utf8), filter: Array("a/#".utf8)))

    func join(_ member: String) -> UInt64? {
        NumberResult.decode(
            host.apply(
                .groupJoin(
                    GroupJoinCommand(
                        group: group, member: Array(member.utf8),
                        limits: .init(messagesMax: 10, bytesMax: 0, policy: .dropNewest)))))?.number
    }

    func leave(_ member: String) -> UInt64? {
        NumberResult.decode(
            host.apply(
                .groupLeave(GroupLeaveCommand(group: group, member: Array(member.utf8)))))?.number
    }

    func credit(_ member: String, token: UInt64, _ credit: UInt32) {
        host.send(.groupCredit) {
            GroupCreditMessage(
                group: group, member: Array(member.utf8), connectionToken: token, credit: credit
            ).encode(into: &$0)
        }
    }

    func insert(_ text: String, _ incarnation: UInt64, qos: UInt8 = 1) -> [InsertOutcome] {
        host.insert(
            text,
            to: [
                .init(
                    clientID: group.clientID, incarnation: incarnation,
                    options: DeliveryOptions(qos: qos))
            ])
    }

    struct Lease {
        var token: UInt64
        var sequence: UInt64
        var text: String
    }

    /// What was leased since the last call.
    func leased() -> [Lease] {
        var leases: [Lease] = []
        for message in host.take(.groupPush) {
            let push = message.body.withUnsafeBytes { GroupPushMessage.decode($0) }
            for entry in push?.entries ?? [] {
                leases.append(
                    Lease(
                        token: push?.connectionToken ?? 0, sequence: entry.sequence,
                        text: String(decoding: entry.record, as: UTF8.self)))
            }
        }
        return leases
    }

    func acknowledge(_ sequence: UInt64, _ kind: AcknowledgementKind = .acknowledged) {
        host.apply(
            .acknowledge(
                AcknowledgeCommand(
                    tenant: group.tenant,
                    items: [
                        .init(
                            clientID: group.clientID, ownerEpoch: .none,
                            entries: [.init(sequence: sequence, kind: kind)])
                    ])))
    }

    func take(_ sequence: UInt64, _ member: String) -> InboxStatus? {
        BatchResult.decode(
            host.apply(
                .groupTake(
                    GroupTakeCommand(
                        group: group, member: Array(member.utf8), sequences: [sequence])))
        )?.statuses.first
    }

    @Test("Messages wait for a member with room and are spread by room")
    func spread() throws {
        let incarnation = try #require(join("anna"))
        #expect(join("bert") == incarnation)
        for text in ["1", "2", "3"] { #expect(insert(text, incarnation) == [.stored]) }
        credit("anna", token: 1, 1)
        #expect(leased().map(\.text) == ["1"])
        credit("bert", token: 2, 1)
        let second = leased()
        #expect(second.map(\.text) == ["2"] && second.first?.token == 2)
        acknowledge(1)
        #expect(leased().map(\.text) == ["3"])
    }

    @Test("QoS 1 that was not acknowledged goes to another member [MQTT-4.8.2-4]")
    func redispatch() throws {
        let incarnation = try #require(join("anna"))
        _ = join("bert")
        _ = insert("1", incarnation)
        credit("anna", token: 1, 5)
        #expect(leased().map(\.token) == [1])
        credit("bert", token: 2, 5)
        #expect(leased().isEmpty)
        credit("anna", token: 1, 0)
        #expect(leased().map(\.token) == [2])
    }

    @Test("QoS 2 that was taken stays its member's, also under the next leader [MQTT-4.8.2-5]")
    func taken() throws {
        let incarnation = try #require(join("anna"))
        _ = join("bert")
        _ = insert("1", incarnation, qos: 2)
        _ = insert("2", incarnation, qos: 2)
        credit("anna", token: 1, 5)
        #expect(leased().count == 2)
        #expect(take(1, "anna") == .ok && take(1, "anna") == .ok)
        #expect(take(1, "bert") == .duplicate)
        credit("bert", token: 2, 5)
        credit("anna", token: 1, 0)
        #expect(leased().map(\.text) == ["2"])
        let other = GroupTests.copy(host)
        other.credit("bert", token: 2, 5)
        #expect(other.leased().map(\.text) == ["2"])
        #expect(leave("anna") == 1)
        #expect(leased().isEmpty && host.takeDrops().map(\.count) == [1])
    }

    @Test("A taken message that was never sent may go to another member")
    func givenBack() throws {
        let incarnation = try #require(join("anna"))
        _ = join("bert")
        _ = insert("1", incarnation, qos: 2)
        credit("anna", token: 1, 5)
        _ = leased()
        _ = take(1, "anna")
        credit("anna", token: 1, 0)
        credit("bert", token: 2, 5)
        #expect(leased().isEmpty)
        acknowledge(1, .released)
        #expect(leased().map(\.token) == [2])
    }

    @Test("A refusal by the member ends the message [MQTT-4.8.2-6]; the last member, the group")
    func endings() throws {
        let incarnation = try #require(join("anna"))
        _ = insert("1", incarnation)
        _ = insert("2", incarnation)
        credit("anna", token: 1, 5)
        #expect(leased().count == 2)
        acknowledge(1)
        #expect(leave("anna") == 0)
        #expect(host.takeDrops().map(\.reason) == [.groupEnded])
        #expect(host.store.isEmpty)
        #expect(insert("3", incarnation) == [.noSession])
        #expect(join("anna") != incarnation)
    }

    @Test("No client can be taken for a group, and no stranger is given its messages")
    func strangers() throws {
        let incarnation = try #require(join("anna"))
        _ = insert("1", incarnation)
        credit("eve", token: 9, 5)
        #expect(leased().isEmpty)
        #expect(take(1, "eve") == nil)
        var client = TestClient("x")
        client.name = String(decoding: group.clientID, as: UTF8.self)
        let result = host.apply(
            .attach(
                AttachCommand(
                    session: client.session, principal: [], ownerEpoch: OwnerEpoch(9),
                    place: InboxHarness.home, connectionToken: 1, cleanStart: true,
                    expirySeconds: 5,
                    limits: .init(messagesMax: 1, bytesMax: 1, policy: .reject))))
        #expect(InboxResult.status(of: result) == .malformed)
    }

    private init(host: InboxHarness) { self.host = host }
    init() { self.init(host: InboxHarness()) }

    /// The same under the next leader.
    static func copy(_ host: InboxHarness) -> GroupTests {
        let other = host.rebuilt()
        other.lead()
        return GroupTests(host: other)
    }
}
