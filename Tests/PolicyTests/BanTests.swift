import Base
import Policy
import Testing

@Suite("Bans")
struct BanTests {
    @Test(
        "days and times in UTC are read, what is none is not",
        arguments: [
            ("1970-01-01", 0), ("2000-02-29", 951_782_400), ("2026-12-31T23:59:59Z", 1_798_761_599),
            ("2026-02-29", nil), ("2026-04-31", nil), ("2026-13-01", nil), ("2026-00-01", nil),
            ("2026-01-01T24:00:00Z", nil), ("2026-01-01T00:00:00", nil), ("2026-1-1", nil),
            ("1969-12-31", nil), ("2100-02-29", nil), ("2026-12-32", nil), ("", nil),
        ] as [(String, UInt64?)])
    func times(text: String, seconds: UInt64?) {
        #expect(WallTime(utc: text)?.milliseconds == seconds.map { $0 * 1_000 })
    }

    @Test(
        "a wrong line is an error that names it",
        arguments: [
            "client", "sensor a", "address 10.0.0.0/8", "network 10.0.0.1/8", "user a forever",
            "client a tenant=", "client \"a",
        ])
    func wrongLines(line: String) {
        let error = #expect(throws: PolicyFileError.self) {
            try BanFileDecoder.decode(Array("# bans\n\n\(line)\n".utf8), path: "bans")
        }
        #expect(error?.line == 3)
    }

    @Test("a ban holds in its tenant and until its end")
    func holds() throws {
        let text = "client c tenant=acme until=2026-01-01\nuser u\nnetwork 2001:db8::/32"
        let table = try BanFileDecoder.decode(Array(text.utf8), path: "bans")
        let before = WallTime(utc: "2025-12-31") ?? .zero
        let after = WallTime(utc: "2026-01-01") ?? .zero
        func bans(
            _ tenant: String, _ user: String, _ clientID: String, _ address: String,
            _ now: WallTime
        ) throws -> Bool {
            let principal = Principal(tenant: try #require(TenantName(tenant)), user: user)
            return table.bans(
                ClientIdentity(principal, clientID: clientID, peerAddress: address), now)
        }
        #expect(try bans("acme", "", "c", "", before))
        #expect(try !bans("acme", "", "c", "", after))
        #expect(try !bans("other", "", "c", "", before))
        #expect(try bans("other", "u", "x", "", after))
        #expect(try bans("other", "", "x", "2001:db8::1", after))
        #expect(try !bans("other", "", "x", "2001:db9::1", after))
        var request = AuthenticationRequest()
        request.clientID = "c"
        #expect(!table.bans(request, before), "the tenant is not known yet")
        request.peerAddress = "2001:db8::1"
        #expect(table.bans(request, before))
        #expect(BanTable().isEmpty && !table.isEmpty)
    }
}
