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
