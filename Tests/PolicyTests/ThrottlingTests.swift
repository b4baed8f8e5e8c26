import Base
import Policy
import TestKit
import Testing

@Suite("Throttling")
struct ThrottlingTests {
    private func at(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000)
    }

    @Test("a bucket gives its burst at once and then its rate")
    func burstAndRate() {
        let bucket = BucketUnderTest()
        let rate = TokenRate(perSecond: 10, burst: 5)
        for _ in 0..<5 { #expect(bucket.take(1, rate, now: at(0))) }
        #expect(!bucket.take(1, rate, now: at(0)))
        #expect(bucket.delay(for: 1, rate, now: at(0)) == .milliseconds(100))
        #expect(!bucket.take(1, rate, now: at(99)))
        #expect(bucket.take(1, rate, now: at(100)))
        #expect(!bucket.take(1, rate, now: at(100)))
    }

    @Test("a rate of 0 is no limit and divides by nothing")
    func unlimited() {
        let bucket = BucketUnderTest()
        for _ in 0..<1_000 { #expect(bucket.take(.max, .unlimited, now: at(0))) }
        #expect(TokenRate(perSecond: -5).isUnlimited)
    }

    @Test("a request above the burst passes from a full bucket and is paid for afterwards")
    func large() {
        let bucket = BucketUnderTest()
        let rate = TokenRate(perSecond: 100)
        #expect(bucket.take(300, rate, now: at(0)))
        #expect(!bucket.take(1, rate, now: at(1_999)))
        #expect(bucket.take(1, rate, now: at(2_020)))
    }

    @Test("what has happened already is charged even without tokens")
    func force() {
        let bucket = BucketUnderTest()
        let rate = TokenRate(perSecond: 1_000)
        bucket.force(5_000, rate, now: at(0))
        #expect(bucket.delay(for: 1, rate, now: at(0)) > .seconds(3))
        bucket.force(.max, TokenRate(perSecond: 1), now: at(0))
        #expect(!bucket.take(1, rate, now: at(1_000_000)))
    }

    @Test("over any span a bucket gives at most burst plus rate", arguments: Seed.series(20))
    func neverTooMuch(seed: Seed) {
        var random = seed.random()
        let rate = TokenRate(perSecond: 1 + random.below(5_000), burst: 1 + random.below(500))
        let bucket = BucketUnderTest()
        var now: UInt64 = 0
        var given = 0
        for _ in 0..<5_000 {
            now += UInt64(random.below(20))
            let count = 1 + random.below(min(10, rate.burst))
            if bucket.take(count, rate, now: at(now)) { given += count }
        }
        #expect(given <= rate.burst + rate.perSecond * Int(now) / 1_000 + 1)
        #expect(given >= min(rate.burst, rate.perSecond * Int(now) / 2_000))
    }

    @Test("every resource is limited by the setting of its name", arguments: ResourceType.allCases)
    func resources(resource: ResourceType) throws {
        var settings = TenantSettings()
        try SettingTable.row(named: resource.name).write(7, to: &settings)
        #expect(resource.limit(settings) == 7)
        #expect(resource.limit(.standard) == 0)
        #expect(resource.isRate == resource.name.contains("PerSecond"))
        let account = TenantAccount()
        for _ in 0..<7 { #expect(account.take(resource, 1, limit: 7, now: at(0))) }
        #expect(!account.take(resource, 1, limit: 7, now: at(0)))
        if resource.isRate {
            #expect(account.take(resource, 1, limit: 7, now: at(1_000)))
        } else {
            account.giveBack(resource, 1)
            #expect(account.used(resource) == 6)
            #expect(account.take(resource, 1, limit: 7, now: at(0)))
        }
    }

    @Test("a total is counted also while it has no limit")
    func countsWithoutLimit() {
        let account = TenantAccount()
        for _ in 0..<3 { #expect(account.take(.totalConnections, 1, limit: 0, now: at(0))) }
        #expect(!account.take(.totalConnections, 1, limit: 3, now: at(0)))
        #expect(account.used(.totalConnections) == 3)
    }

    @Test("the gate asks the settings first and then the throttler, and keeps nothing it refused")
    func gate() throws {
        var tenants = TenantCache()
        var settings = TenantSettings()
        settings.totalConnections = 2
        let made = tenants.slot(
            of: .standard, settings: settings, account: TenantAccount())
        let tenant = tenants[try #require(made)]
        let open = ResourceGate(OpenThrottler())
        #expect(open.take(.totalConnections, 1, tenant, now: at(0)))
        let strict = ResourceGate(NoSubscriptions())
        #expect(!strict.take(.totalTransientSubscriptions, 1, tenant, now: at(0)))
        #expect(tenant.pointee.account.used(.totalTransientSubscriptions) == 0)
        #expect(strict.take(.totalConnections, 1, tenant, now: at(0)))
        #expect(!strict.take(.totalConnections, 1, tenant, now: at(0)))
        strict.giveBack(.totalConnections, 2, tenant)
        #expect(tenant.pointee.account.used(.totalConnections) == 0)
    }

    @Test("an address has so many connections, and so many new ones a second")
    func addresses() throws {
        let table = AddressesUnderTest()
        let limits = AddressLimits(connectionsMax: 3, connectRate: TokenRate(perSecond: 2))
        let one = try #require(IPAddress("192.0.2.1"))
        let other = try #require(IPAddress("192.0.2.2"))
        #expect(table.connect(one, limits, at(0)) == .accepted)
        #expect(table.connect(one, limits, at(0)) == .accepted)
        #expect(table.connect(one, limits, at(0)) == .tooFast)
        #expect(table.connections(of: one) == 3, "it is there until it has been ended")
        table.disconnect(one)
        #expect(table.connect(other, limits, at(0)) == .accepted)
        #expect(table.connect(one, limits, at(1_000)) == .accepted)
        #expect(table.connect(one, limits, at(5_000)) == .tooManyConnections)
        table.disconnect(one)
        #expect(table.connect(one, limits, at(5_000)) == .accepted)
    }

    @Test("all loops count an address together")
    func sharedAddresses() throws {
        let table = SharedAddressTable(seed: 7)
        let limits = AddressLimits(connectionsMax: 2, connectRate: .unlimited)
        for number in 0..<200 as Range<UInt32> {
            let address = IPAddress(v4: 0x0A00_0000 + number)
            #expect(table.connect(address, limits, now: at(0)) == .accepted)
            #expect(table.connect(address, limits, now: at(0)) == .accepted)
            #expect(table.connect(address, limits, now: at(0)) == .tooManyConnections)
            table.disconnect(address)
            #expect(table.connections(of: address) == 1)
        }
    }

    @Test("a shared bucket gives what its rate allows, and says how long a debt lasts")
    func sharedBucket() {
        let bucket = SharedBucket()
        let rate = TokenRate(perSecond: 10, burst: 2)
        #expect(bucket.take(1, rate, now: at(0)))
        #expect(bucket.take(1, rate, now: at(0)))
        #expect(!bucket.take(1, rate, now: at(0)))
        #expect(bucket.force(1, rate, now: at(0)) == .milliseconds(200))
        #expect(!bucket.take(1, rate, now: at(150)))
        #expect(bucket.take(1, rate, now: at(200)))
        #expect(bucket.force(1_000_000, .unlimited, now: at(200)) == .zero)
    }

    @Test("all addresses of an IPv6 network of 64 bits count as one")
    func ipv6() throws {
        let table = AddressesUnderTest()
        let limits = AddressLimits(connectionsMax: 1, connectRate: .unlimited)
        let one = try #require(IPAddress("2001:db8::1"))
        let neighbour = try #require(IPAddress("2001:db8::ffff:2"))
        #expect(table.connect(one, limits, at(0)) == .accepted)
        #expect(table.connect(neighbour, limits, at(0)) == .tooManyConnections)
    }

    @Test("the table of addresses is bounded, forgets the idle and never loses a count")
    func bounded() {
        let table = AddressesUnderTest()
        let limits = AddressLimits(connectionsMax: 0, connectRate: TokenRate(perSecond: 1))
        let kept = (0..<100).map { IPAddress(v4: 0x0A00_0000 + $0) }
        for address in kept { #expect(table.connect(address, limits, at(0)) == .accepted) }
        for number in 0..<UInt32(AddressTable.entriesMax) + 1_000 {
            let stranger = IPAddress(v4: 0xC000_0000 + number)
            if table.connect(stranger, limits, at(10)) == .accepted { table.disconnect(stranger) }
        }
        #expect(table.count == AddressTable.entriesMax)
        for address in kept { #expect(table.connections(of: address) == 1) }
        // Later the strangers are idle and make room.
        #expect(table.connect(IPAddress(v4: 1), limits, at(60_000)) == .accepted)
        #expect(table.count == 101)
        for address in kept { #expect(table.connections(of: address) == 1) }
    }
}

/// Refuses subscriptions whatever the settings say.
private struct NoSubscriptions: Throttler {
    func hasResource(_ resource: ResourceType, amount: Int, tenant: TenantName) -> Bool {
        resource != .totalTransientSubscriptions
    }
}

/// A table behind a reference, so that an expectation can call what changes it.
private final class AddressesUnderTest {
    private var table = AddressTable(seed: 42)

    var count: Int { table.count }

    func connect(
        _ address: IPAddress, _ limits: AddressLimits, _ now: Instant
    ) -> AddressTable.Verdict {
        table.connect(address, limits, now: now)
    }

    func disconnect(_ address: IPAddress) { table.disconnect(address) }

    func connections(of address: IPAddress) -> Int { table.connections(of: address) }
}

/// A bucket behind a reference, so that an expectation can call what changes it.
private final class BucketUnderTest {
    private var bucket = TokenBucket()

    func take(_ count: Int, _ rate: TokenRate, now: Instant) -> Bool {
        bucket.take(count, rate, now: now)
    }

    func force(_ count: Int, _ rate: TokenRate, now: Instant) {
        bucket.force(count, rate, now: now)
    }

    func delay(for count: Int, _ rate: TokenRate, now: Instant) -> Duration {
        bucket.delay(for: count, rate, now: now)
    }
}
