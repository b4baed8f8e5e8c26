import Base
import Policy
import Testing

@Suite("Tenants")
struct TenantTests {
    @Test(
        "a tenant's name is short, plain ASCII",
        arguments: [
            ("acme", true), ("a.b-c_9", true), ("", false), ("a/b", false), ("a+b", false),
            ("#", false), ("ä", false), ("a b", false), (".hidden", false), ("-x", false),
            (String(repeating: "a", count: 64), true), (String(repeating: "a", count: 65), false),
            ("a\n", false), ("$SYS", false),
        ])
    func names(text: String, isValid: Bool) {
        #expect((TenantName(text) != nil) == isValid)
    }

    @Test("later layers win: defaults, configuration, what was stored")
    func layers() throws {
        let acme = try #require(TenantName("acme"))
        var table = TenantTable()
        var defaults = TenantOverrides()
        try defaults.set("MaximumQoS", to: "1")
        try defaults.set("MaxTopicLevels", to: "5")
        var named = TenantOverrides()
        try named.set("MaxTopicLevels", to: "6")
        table.configure(defaults: defaults, tenants: [acme: named], acceptsUnknown: false)
        #expect(table.settings(for: acme).topicLevelsMax == 6)
        #expect(table.settings(for: .standard).topicLevelsMax == 5)
        var stored = TenantOverrides()
        try stored.set("MaxTopicLevels", to: "7")
        let before = table.epoch
        try table.store(stored, for: acme)
        #expect(table.epoch > before)
        #expect(table.settings(for: acme).topicLevelsMax == 7)
        #expect(table.settings(for: acme).maximumQoS == 1)
        try table.store(nil, for: acme)
        #expect(table.settings(for: acme).topicLevelsMax == 6)
    }

    @Test("an unknown tenant is admitted only if the configuration says so")
    func unknown() throws {
        let stranger = try #require(TenantName("stranger"))
        var table = TenantTable()
        #expect(table.admits(stranger))
        table.configure(defaults: .init(), tenants: [:], acceptsUnknown: false)
        #expect(!table.admits(stranger))
        #expect(table.admits(.standard))
    }

    @Test("a stored contradiction is refused and changes nothing")
    func refusesContradiction() throws {
        let acme = try #require(TenantName("acme"))
        var table = TenantTable()
        var stored = TenantOverrides()
        try stored.set("MinSessionExpirySeconds", to: "60")
        try stored.set("MaxSessionExpirySeconds", to: "10")
        let before = table.epoch
        #expect(throws: SettingError.self) { try table.store(stored, for: acme) }
        #expect(table.epoch == before)
        #expect(table.storedOverrides(of: acme) == nil)
    }

    @Test("a loop sees a change by the epoch and keeps the tenant's address")
    func cache() throws {
        let acme = try #require(TenantName("acme"))
        let store = TenantStore()
        var cache = TenantCache()
        let made = cache.slot(
            of: acme, settings: store.settings(for: acme), account: TenantAccount())
        let slot = try #require(made)
        let address = cache[slot]
        let again = cache.slot(of: acme)
        #expect(again == slot)
        #expect(address.pointee.settings.maximumQoS == 2)
        var overrides = TenantOverrides()
        try overrides.set("MaximumQoS", to: "0")
        let epoch = store.epoch
        try store.update { table throws(SettingError) in try table.store(overrides, for: acme) }
        #expect(store.epoch > epoch)
        let changed = cache.refresh(epoch: store.epoch) { store.settings(for: $0) }
        let unchanged = cache.refresh(epoch: store.epoch) { store.settings(for: $0) }
        #expect(changed == [slot])
        #expect(unchanged.isEmpty)
        #expect(address.pointee.settings.maximumQoS == 0)
    }
}
