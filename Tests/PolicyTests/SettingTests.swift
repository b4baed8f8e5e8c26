import Base
import Policy
import TestKit
import Testing

@Suite("Tenant settings")
struct SettingTests {
    /// Default and one refused value of every setting of the reference system.
    static let reference: [(name: String, standard: String, refused: String)] = [
        ("MQTT3Enabled", "true", "1"), ("MQTT4Enabled", "true", ""), ("MQTT5Enabled", "true", "2"),
        ("NoLWTWhenServerShuttingDown", "true", "maybe"), ("DebugModeEnabled", "false", "-"),
        ("ForceTransient", "false", "0"), ("ByPassPermCheckError", "false", "t"),
        ("PayloadFormatValidationEnabled", "true", "x"), ("RetainEnabled", "true", "x"),
        ("WildcardSubscriptionEnabled", "true", "x"),
        ("SubscriptionIdentifierEnabled", "true", "x"),
        ("SharedSubscriptionEnabled", "true", "x"),
        ("MaximumQoS", "2", "3"),
        ("MaxTopicLevelLength", "1024", "0"), ("MaxTopicLevels", "128", "0"),
        ("MaxTopicLength", "1024", "65536"), ("MaxTopicAlias", "10", "65536"),
        ("MaxSharedGroupMembers", "10000", "0"), ("MaxTopicFiltersPerInbox", "10000", "0"),
        ("MsgPubPerSec", "unlimited", "-1"), ("ReceivingMaximum", "200", "0"),
        ("InBoundBandWidth", "unlimited", "-1"), ("OutBoundBandWidth", "unlimited", "-1"),
        ("MaxLastWillBytes", "262144000", "262144001"),
        ("MaxUserPayloadBytes", "262144", "268435457"), ("MinSendPerSec", "8", "0"),
        ("MaxResendTimes", "3", "-1"), ("ResendTimeoutSeconds", "10", "0"),
        ("MaxTopicFiltersPerSub", "100", "101"), ("MaxGroupFanout", "100", "0"),
        ("MaxPersistentFanout", "2147483647", "0"), ("MaxPersistentFanoutBytes", "unlimited", "0"),
        ("MaxSessionExpirySeconds", "86400", "4294967296"), ("MinSessionExpirySeconds", "1", "0"),
        ("MinKeepAliveSeconds", "1", "65535"), ("SessionInboxSize", "1000", "65536"),
        ("QoS0DropOldest", "false", "x"), ("RetainMessageMatchLimit", "unlimited", "-1"),
    ]

    @Test(
        "every setting of the reference has its row, default and range", arguments: Self.reference)
    func rowOfReference(name: String, standard: String, refused: String) throws {
        let row = try SettingTable.row(named: name)
        #expect(row.text(row.defaultValue) == standard)
        #expect(throws: SettingError.self) { try row.parse(refused) }
    }

    @Test("the reference has 38 settings and each is in the test")
    func count() {
        let names = SettingTable.rows.filter { $0.number <= 100 }.map(\.name)
        #expect(names.count == 38)
        #expect(Set(names) == Set(Self.reference.map(\.name)))
    }

    @Test("every row reads and writes a field of its own", arguments: SettingTable.rows)
    func rowsAreIndependent(row: SettingRow) {
        var settings = TenantSettings()
        let other = [0, 1, 2, 23, 1_024].first { $0 != row.defaultValue && row.allows($0) }
        row.write(other ?? row.defaultValue, to: &settings)
        #expect(row.read(settings) == other)
        for another in SettingTable.rows where another.number != row.number {
            #expect(another.read(settings) == another.defaultValue, "\(another.name)")
        }
        #expect(!row.meaning.isEmpty)
    }

    @Test("every field of the struct has a row")
    func everyFieldHasRow() {
        #expect(Mirror(reflecting: TenantSettings()).children.count == SettingTable.rows.count)
        #expect(Set(SettingTable.rows.map(\.number)).count == SettingTable.rows.count)
    }

    @Test("the defaults contradict nothing and allow themselves")
    func defaultsAreSound() {
        #expect(TenantSettings.standard.contradictions.isEmpty)
        for row in SettingTable.rows {
            #expect(row.allows(row.defaultValue), "\(row.name)")
            #expect((try? row.parse(row.text(row.defaultValue))) == row.defaultValue, "\(row.name)")
        }
    }

    @Test(
        "values are read with their units",
        arguments: [
            ("SessionQueueBytes", "4MiB", 4_194_304), ("MaxUserPayloadBytes", "1kb", 1_000),
            ("MaxSessionExpirySeconds", "7d", 604_800), ("InBoundBandWidth", "unlimited", 0),
            ("slowconsumerpolicy", "disconnect", 2), ("RetainEnabled", "off", 0),
            ("TotalConnections", "unlimited", 0), ("MinKeepAliveSeconds", "90", 90),
        ])
    func units(name: String, text: String, value: Int) throws {
        #expect(try SettingTable.row(named: name).parse(text) == value)
    }

    @Test("an unknown setting is refused with a suggestion")
    func suggestion() {
        #expect(throws: SettingError.unknown(name: "MaxTopicLevel", suggestion: "MaxTopicLevels")) {
            try SettingTable.row(named: "MaxTopicLevel")
        }
        let error = SettingError.unknown(name: "RetainEnabeld\u{1B}", suggestion: nil)
        #expect(!error.description.contains("\u{1B}"))
    }

    @Test("a session expiry below its minimum is a contradiction")
    func contradiction() throws {
        var overrides = TenantOverrides()
        try overrides.set("MinSessionExpirySeconds", to: "60")
        try overrides.set("MaxSessionExpirySeconds", to: "30")
        #expect(overrides.check().errors.count == 1)
        try overrides.set("MinSessionExpirySeconds", to: "30")
        #expect(overrides.check().errors.isEmpty)
    }

    @Test("settings without effect are accepted with a warning")
    func warning() throws {
        var overrides = TenantOverrides()
        try overrides.set("MaxResendTimes", to: "5")
        try overrides.set("MaximumQoS", to: "1")
        #expect(overrides.check().warnings.count == 1)
    }

    @Test("stored overrides come back, and unknown rows survive")
    func encoding() throws {
        var overrides = TenantOverrides()
        try overrides.set("MaximumQoS", to: "1")
        try overrides.set("SlowConsumerPolicy", to: "dropOldest")
        var writer = ByteWriter()
        overrides.encode(into: &writer)
        let golden: [UInt8] = [
            1, 0, 2, 0, 13, 0, 0, 0, 0, 0, 0, 0, 1, 0, 101, 0, 0, 0, 0, 0, 0, 0, 1,
        ]
        #expect(writer.array == golden)
        #expect(try decode(golden) == overrides)
        var unknown = golden
        unknown[3] = 0xF0
        var rewritten = ByteWriter()
        let later = try decode(unknown)
        later.encode(into: &rewritten)
        #expect(rewritten.array.count == golden.count)
        #expect(later.applied(to: .standard).slowConsumerPolicy == .dropOldest)
    }

    @Test("damaged stored overrides are an error, never a trap", arguments: Seed.series(20))
    func damaged(seed: Seed) throws {
        var overrides = TenantOverrides()
        for row in SettingTable.rows { try overrides.set(row, to: row.defaultValue) }
        var writer = ByteWriter()
        overrides.encode(into: &writer)
        let bytes = writer.array
        var random = seed.random()
        for cut in 0..<bytes.count {
            #expect(throws: SettingError.self) { try decode(Array(bytes[..<cut])) }
        }
        for _ in 0..<200 {
            var damaged = bytes
            damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next())
            _ = (try? decode(damaged))?.applied(to: .standard)
        }
    }

    private func decode(_ bytes: [UInt8]) throws -> TenantOverrides {
        let result = bytes.withRawSpan { span in
            Result { () throws(SettingError) in try TenantOverrides(decoding: span) }
        }
        return try result.get()
    }
}
