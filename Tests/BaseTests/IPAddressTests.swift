import Base
import TestKit
import Testing

@Suite("IP addresses")
struct IPAddressTests {
    @Test(
        "addresses are read and written in their usual form",
        arguments: [
            ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"),
            ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"),
            ("1::", "1::"), ("2001:DB8::8:800:200C:417A", "2001:db8::8:800:200c:417a"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("::ffff:192.0.2.128", "192.0.2.128"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
            ("fe80:0:0:1:0:0:0:0", "fe80:0:0:1::"),
        ])
    func readAndWrite(text: String, expected: String) {
        #expect(IPAddress(text)?.description == expected)
    }

    @Test(
        "anything unusual is no address",
        arguments: [
            "", " ", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "1.2.3.-4",
            "1..2.3", "0x7f.0.0.1", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", "fe80::1%eth0", "[::1]",
            "1.2.3.4::", "::1.2.3", "1:", ":1", "127.0.0.1:80",
        ])
    func unusual(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(
        "a network holds what begins like it",
        arguments: [
            ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true), ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false), ("192.0.2.128/25", "192.0.2.127", false),
            ("0.0.0.0/0", "8.8.8.8", true), ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe00::", false),
            ("::/0", "1.2.3.4", true), ("2001:db8:0:1::/64", "2001:db8:0:1:ffff::", true),
            ("2001:db8:0:1::/64", "2001:db8:0:2::", false),
            ("2001:db8::/65", "2001:db8:0:0:8000::", false), ("::1", "::1", true),
        ])
    func membership(network: String, address: String, expected: Bool) throws {
        let address = try #require(IPAddress(address))
        #expect(try #require(IPNetwork(network)).contains(address) == expected)
    }

    @Test(
        "a network that contradicts itself is none",
        arguments: [
            "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "::/129",
            "fd00::1/8", "/8", "10.0.0.0/ 8", "", "10.0.0.0/٨",
        ])
    func badNetworks(text: String) {
        #expect(IPNetwork(text) == nil)
    }

    @Test("every random address survives being written and read", arguments: Seed.series(2))
    func roundTrip(seed: Seed) {
        var random = seed.random()
        for _ in 0..<500 {
            let keep = random.next() & random.next()
            let address = IPAddress(high: random.next() & keep, low: random.next() & ~keep)
            #expect(IPAddress(address.description) == address, "\(seed)")
        }
    }
}
