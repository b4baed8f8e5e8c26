import Base
import Inbox
import KV
import Testing

/// Bytes of the wire and of the store, fixed: Docs/FORMATS.md, section Inbox.
@Suite("Formats of the inbox store")
struct FormatTests {
    static let anna = SessionName(tenant: Array("t".utf8), clientID: Array("anna".utf8))
    static let place = Place(node: NodeID(1), worker: WorkerIndex(2))

    static func hex(_ text: String) -> [UInt8] {
        let digits = text.filter { !$0.isWhitespace }.map { UInt8($0.hexDigitValue ?? 0) }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    struct Golden: Sendable, CustomTestStringConvertible {
        var name: String
        var command: InboxCommand
        var bytes: String
        var testDescription: String { name }
    }

    static let commands = [
        Golden(
            name: "attach",
            command: .attach(
                AttachCommand(
                    session: anna, principal: Array("u".utf8), ownerEpoch: OwnerEpoch(5),
                    place: place, connectionToken: 7, cleanStart: true, expirySeconds: 60,
                    limits: .init(messagesMax: 1000, bytesMax: 65536, policy: .reject),
                    tenantSessionsMax: 9, sentThrough: 3,
                    will: StoredWill(delaySeconds: 4, record: [0xAB]))),
            bytes: """
                01 01 0001 74 0004 616e6e61 0001 75 0000000000000005 0000000000000001 0002
                0000000000000007 03 0000003c 000003e8 00010000 02 00000009 0000000000000003
                00000004 00000001 ab
                """),
        Golden(
            name: "detach",
            command: .detach(
                DetachCommand(
                    session: anna, ownerEpoch: OwnerEpoch(5), reason: .willNow, expirySeconds: 1,
                    sentThrough: 2)),
            bytes: """
                01 02 0001 74 0004 616e6e61 0000000000000005 02 01 00000001 0000000000000002
                """),
        Golden(
            name: "subscribe",
            command: .subscribe(
                SubscribeCommand(
                    session: anna, ownerEpoch: OwnerEpoch(5), filtersMax: 100,
                    subscriptions: [.init(filter: [0x23], options: 2, subscriptionID: 8)])),
            bytes: """
                01 03 0001 74 0004 616e6e61 0000000000000005 00000064 0001 0001 23 02 00000008
                """),
        Golden(
            name: "unsubscribe",
            command: .unsubscribe(
                UnsubscribeCommand(session: anna, ownerEpoch: OwnerEpoch(5), filters: [[0x23]])),
            bytes: "01 04 0001 74 0004 616e6e61 0000000000000005 0001 0001 23"),
        Golden(
            name: "completeIntents",
            command: .completeIntents(
                CompleteIntentsCommand(session: anna, intents: [.init(number: 3, filter: [0x23])])),
            bytes: "01 05 0001 74 0004 616e6e61 0001 0000000000000003 0001 23"),
        Golden(
            name: "insert",
            command: .insert(
                InsertCommand(
                    tenant: [0x74],
                    messages: [
                        .init(
                            record: [0xAB, 0xCD], expirySeconds: 16,
                            source: OutboxSource(identity: 1, origin: 2, sequence: 3),
                            receivers: [
                                .init(
                                    clientID: [0x61], incarnation: 4,
                                    options: DeliveryOptions(qos: 2, retain: true),
                                    subscriptionIDs: [6])
                            ])
                    ])),
            bytes: """
                01 06 0001 74 0001 03 00000010 0000000000000001 0000000000000002
                0000000000000003 00000002 abcd 00000001 0001 61 0000000000000004 06 01 00000006
                """),
        Golden(
            name: "acknowledge",
            command: .acknowledge(
                AcknowledgeCommand(
                    tenant: [0x74],
                    items: [
                        .init(
                            clientID: [0x61], ownerEpoch: OwnerEpoch(5),
                            entries: [.init(sequence: 9, kind: .pubrecReceived)])
                    ])),
            bytes: "01 07 0001 74 0001 0001 61 0000000000000005 0001 0000000000000009 01"),
        Golden(
            name: "outboxPut",
            command: .outboxPut(
                OutboxPutCommand(
                    tenant: [0x74],
                    items: [
                        .init(
                            clientID: [0x61], ownerEpoch: OwnerEpoch(5), packetID: 10,
                            record: [0xAB])
                    ])),
            bytes: "01 08 0001 74 0001 0001 61 0000000000000005 000a 00000001 ab"),
        Golden(
            name: "outboxPublish",
            command: .outboxPublish(
                OutboxPublishCommand(publisher: anna, idempotencyKey: [0x6B], record: [0xAB])),
            bytes: "01 09 0001 74 0004 616e6e61 0001 6b 00000001 ab"),
        Golden(
            name: "outboxDone",
            command: .outboxDone(
                OutboxDoneCommand(
                    tenant: [0x74], items: [.init(clientID: [0x61], sequences: [9])])),
            bytes: "01 0a 0001 74 0001 0001 61 0001 0000000000000009"),
        Golden(
            name: "pubrelReceived",
            command: .pubrelReceived(
                PubrelReceivedCommand(
                    tenant: [0x74],
                    items: [.init(clientID: [0x61], ownerEpoch: OwnerEpoch(5), packetIDs: [10])])),
            bytes: "01 0b 0001 74 0001 0001 61 0000000000000005 0001 000a"),
        Golden(
            name: "terminate",
            command: .terminate(TerminateCommand(session: anna, publishesWill: true)),
            bytes: "01 0c 0001 74 0004 616e6e61 01"),
        Golden(
            name: "expireTenant",
            command: .expireTenant(ExpireTenantCommand(tenant: [0x74], seconds: 2)),
            bytes: "01 0d 0001 74 00000002"),
        Golden(
            name: "groupJoin",
            command: .groupJoin(
                GroupJoinCommand(
                    group: anna, member: [0x6D],
                    limits: .init(messagesMax: 1, bytesMax: 2, policy: .dropNewest))),
            bytes: "01 0e 0001 74 0004 616e6e61 0001 6d 00000001 00000002 01"),
        Golden(
            name: "groupLeave",
            command: .groupLeave(GroupLeaveCommand(group: anna, member: [0x6D])),
            bytes: "01 0f 0001 74 0004 616e6e61 0001 6d"),
        Golden(
            name: "groupTake",
            command: .groupTake(GroupTakeCommand(group: anna, member: [0x6D], sequences: [9])),
            bytes: "01 10 0001 74 0004 616e6e61 0001 6d 0001 0000000000000009"),
        Golden(
            name: "limits",
            command: .limits(
                LimitsCommand(
                    session: anna, ownerEpoch: OwnerEpoch(5),
                    limits: .init(
                        messagesMax: 1000, bytesMax: 65536, policy: .dropNewest,
                        dropsOldestQoS0: true))),
            bytes: "01 11 0001 74 0004 616e6e61 0000000000000005 000003e8 00010000 81"),
    ]

    @Test("Commands have these bytes, and are read back from them", arguments: commands)
    func command(golden: Golden) {
        #expect(golden.command.encoded == Self.hex(golden.bytes))
        #expect(InboxCommand.decode(Self.hex(golden.bytes)) == golden.command)
        #expect(InboxCommand.decode(Self.hex(golden.bytes) + [0]) == nil)
        #expect(InboxCommand.decode([2] + Self.hex(golden.bytes).dropFirst()) == nil)
    }

    @Test("A claim has these bytes")
    func claim() {
        let question = InboxQuestion.claim(
            ClaimQuestion(
                session: Self.anna, principal: [0x75], place: Self.place, connectionToken: 7,
                bindsPrincipal: true))
        let bytes = Self.hex(
            "01 01 0001 74 0004 616e6e61 0001 75 0000000000000001 0002 0000000000000007 01")
        #expect(question.encoded == bytes)
        #expect(bytes.withUnsafeBytes { InboxQuestion.decode($0) } == question)
    }

    @Test("Questions are read back")
    func questions() {
        let all: [InboxQuestion] = [
            .list(ListQuestion(tenant: [0x74], cursor: [1, 2], limit: 5)), .show(Self.anna),
            .subscriptions(Self.anna, skip: 7), .counts(tenant: [0x74]),
            .owner(Self.anna),
        ]
        for question in all {
            #expect(question.encoded.withUnsafeBytes { InboxQuestion.decode($0) } == question)
        }
    }

    @Test("A push has these bytes")
    func push() throws {
        let bytes = Self.hex(
            """
            01 0000000000000007 0000000000000005 0001
            0000000000000009 0a 01 00000006 00000002 abcd
            """)
        let message = try #require(bytes.withUnsafeBytes { PushMessage.decode($0) })
        #expect(message.connectionToken == 7 && message.ownerEpoch == OwnerEpoch(5))
        let entry = PushMessage.Entry(
            sequence: 9,
            flags: PushFlags(qos: 2, retain: false, isRedelivery: true, owesPubrel: false),
            subscriptionIDs: [6], record: [0xAB, 0xCD])
        #expect(message.entries == [entry] && entry.packetID == 9)
        #expect(PushMessage.packetID(ofSequence: 64_511) == 64_511)
        #expect(PushMessage.packetID(ofSequence: 64_512) == 1)
    }

    @Test("A credit has these bytes")
    func credit() {
        let credit = CreditMessage(
            session: Self.anna, ownerEpoch: OwnerEpoch(5), cursor: 3, restarts: true,
            messagesTotal: 10, bytesTotal: 11)
        var writer = ByteWriter()
        credit.encode(into: &writer)
        let bytes = Self.hex(
            """
            01 0001 74 0004 616e6e61 0000000000000005 0000000000000003 01
            000000000000000a 000000000000000b
            """)
        #expect(writer.array == bytes)
        #expect(bytes.withUnsafeBytes { CreditMessage.decode($0) } == credit)
    }

    @Test("A session's rows have these keys and values")
    func rows() throws {
        let host = InboxHarness()
        var anna = TestClient("anna")
        try anna.connect(host, will: StoredWill(delaySeconds: 4, record: [0xAB]))
        host.insert("m", to: [anna.receiver(qos: 1, ids: [6])], expiry: 1)
        let bucket = InboxKeys.bucket(tenant: InboxHarness.tenant, clientID: anna.clientID)
        let prefix = InboxKeys.bucketStart(bucket) + Self.hex("01 61636d65 00 616e6e61 00")
        #expect(InboxKeys.sessionPrefix(anna.session) == prefix)
        let keys = host.store.keys.sorted { $0.lexicographicallyPrecedes($1) }
        #expect(
            keys == [
                prefix + [1], prefix + [2], prefix + Self.hex("04 0000000000000001"),
                prefix + Self.hex("0a 0000000000000001"),
            ])
        let incarnation = String(anna.incarnation, radix: 16)
        let padded = String(repeating: "0", count: 16 - incarnation.count) + incarnation
        #expect(
            host.store[keys[0]]
                == Self.hex(
                    """
                    01 01 03 \(padded) 0000000100000001 0004 75736572 00000e10 0000000000000000
                    00000064 00000000 01 0000000000000001 0000 0000000000000001
                    0000000000000001 00000004 0000000000000000 00000001
                    """))
        #expect(
            host.store[keys[1]]
                == Self.hex(
                    """
                    01 0000000000000001 0000000000000000 0000000000000002 0000000000000000
                    0000000000000001
                    """))
        #expect(host.store[keys[2]] == Self.hex("01 11 00000000000f4628 01 00000006 00 6d"))
        #expect(host.store[keys[3]] == [1, 0xAB])
    }

    @Test(
        "A shared body lies in its receivers' lowest bucket, named by time and place in the log"
    )
    func body() throws {
        let host = InboxHarness()
        var clients = [TestClient("anna"), TestClient("bert")]
        for at in clients.indices { try clients[at].connect(host) }
        host.insert("m", to: clients.map { $0.receiver() })
        let lowest = clients.map {
            InboxKeys.bucket(tenant: InboxHarness.tenant, clientID: $0.clientID)
        }.min()
        let key = InboxKeys.bucketStart(try #require(lowest)) + Self.hex("02 000000f424000c00 0000")
        #expect(host.store[key] == [1, 0x6D])
    }

    @Test("Messages of two commands of one entry, each for the same two sessions, keep two bodies")
    func bodiesOfOneEntry() throws {
        let host = InboxHarness()
        var clients = [TestClient("anna"), TestClient("bert")]
        for at in clients.indices { try clients[at].connect(host) }
        host.applyEntry(
            ["first", "second"].map { text in
                .insert(
                    InsertCommand(
                        tenant: InboxHarness.tenant,
                        messages: [
                            .init(
                                record: Array(text.utf8), expirySeconds: nil, source: nil,
                                receivers: clients.map { $0.receiver() })
                        ]))
            })
        let bodies = host.store.filter { $0.key[2] == InboxKeys.bodyArea }.map(\.value)
        #expect(Set(bodies) == [[1] + Array("first".utf8), [1] + Array("second".utf8)])
        #expect(bodies.count == 2)
        for client in clients {
            client.credit(host)
            #expect(text(host.takePushes()) == ["first", "second"])
        }
    }
}
