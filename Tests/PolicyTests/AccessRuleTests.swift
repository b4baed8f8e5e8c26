import Base
import MQTT
import Policy
import TestKit
import Testing

@Suite("Access rules")
struct AccessRuleTests {
    static let rules = """
        # who may do what
        default deny
        allow publish,subscribe  devices/%c/#
        allow subscribe          "news/all day"   qos=0,1
        deny  subscribe          plant/secret/#   user=guest
        allow subscribe          plant/#
        allow publish            alarms/+         user=alice,bob  retain=no
        deny  publish            tenants/%t/audit
        allow publish            tenants/%t/#     tenant=acme
        deny  connect            network=192.0.2.0/24
        allow publish            open/#           client=dev-*
        allow publish            "user=x/y"
        allow publish            100%%/x
        """

    /// Client, action, whether it is allowed.
    static let verdicts: [(client: ClientIdentity, action: AccessAction, isAllowed: Bool)] = [
        (client("c1"), .publish(topic: "devices/c1/t", qos: 0, retain: false), true),
        (client("c1"), .publish(topic: "devices/c1", qos: 2, retain: true), true),
        (client("c1"), .publish(topic: "devices/c2/t", qos: 0, retain: false), false),
        (client("c1"), .publish(topic: "devices/c11/t", qos: 0, retain: false), false),
        (client("c1"), .publish(topic: "devices", qos: 0, retain: false), false),
        (client("+"), .publish(topic: "devices/c2/t", qos: 0, retain: false), false),
        (client("+"), .publish(topic: "devices/+/t", qos: 0, retain: false), false),
        (client("#"), .subscribe(filter: "devices/#", qos: 0), false),
        (client("a/b"), .subscribe(filter: "devices/a/b/x", qos: 0), false),
        (client(""), .publish(topic: "devices//t", qos: 0, retain: false), false),
        (client("$x"), .publish(topic: "devices/$x/t", qos: 0, retain: false), false),
        (client("c1"), .subscribe(filter: "devices/c1/#", qos: 0), true),
        (client("c1"), .subscribe(filter: "devices/c1/+/x", qos: 0), true),
        (client("c1"), .subscribe(filter: "devices/+/x", qos: 0), false),
        (client("c1"), .subscribe(filter: "#", qos: 0), false),
        (client("c1"), .subscribe(filter: "news/all day", qos: 1), true),
        (client("c1"), .subscribe(filter: "news/all day", qos: 2), false),
        (client("c1"), .subscribe(filter: "plant/secret/x", qos: 0), true),
        (client("c1", "guest"), .subscribe(filter: "plant/secret/x", qos: 0), false),
        (client("c1", "guest"), .subscribe(filter: "plant/secret/#", qos: 0), false),
        (client("c1", "guest"), .subscribe(filter: "plant/#", qos: 0), true),
        (client("c1", "guest"), .receive(topic: "plant/secret/x", qos: 0), false),
        (client("c1", "guest"), .receive(topic: "plant/open", qos: 0), true),
        (client("c1", "alice"), .publish(topic: "alarms/1", qos: 0, retain: false), true),
        (client("c1", "alice"), .publish(topic: "alarms/1", qos: 0, retain: true), false),
        (client("c1", "alicia"), .publish(topic: "alarms/1", qos: 0, retain: false), false),
        (client("c1", "alice"), .publish(topic: "alarms/1/2", qos: 0, retain: false), false),
        (
            client("c1", tenant: "acme"),
            .publish(topic: "tenants/acme/x", qos: 0, retain: false), true
        ),
        (
            client("c1", tenant: "acme"),
            .publish(topic: "tenants/acme/audit", qos: 0, retain: false), false
        ),
        (
            client("c1", tenant: "acme"),
            .publish(topic: "tenants/other/x", qos: 0, retain: false), false
        ),
        (client("c1"), .publish(topic: "tenants/default/x", qos: 0, retain: false), false),
        (client("c1"), .connect, true),
        (client("c1", peer: "192.0.2.9"), .connect, false),
        (client("dev-7"), .publish(topic: "open/x", qos: 0, retain: false), true),
        (client("edv-7"), .publish(topic: "open/x", qos: 0, retain: false), false),
        (client("c1"), .publish(topic: "user=x/y", qos: 0, retain: false), true),
        (client("c1"), .publish(topic: "100%/x", qos: 0, retain: false), true),
    ]

    static func client(
        _ id: String, _ user: String = "", tenant: String = "default", peer: String = "127.0.0.1"
    ) -> ClientIdentity {
        ClientIdentity(
            Principal(tenant: TenantName(tenant) ?? .standard, user: user), clientID: id,
            peerAddress: peer)
    }

    @Test("the rules decide", arguments: verdicts)
    func decides(client: ClientIdentity, action: AccessAction, isAllowed: Bool) throws {
        let authoriser = FileAuthoriser(
            try AccessFileDecoder.decode(Array(Self.rules.utf8), path: "acl"))
        let verdict = try #require(authoriser.judge(action, of: client) { _ in })
        if case .allowed = verdict {
            #expect(isAllowed)
        } else {
            #expect(!isAllowed)
        }
    }

    @Test("a subscription that a denial cuts into is checked at each delivery")
    func deliveryCheck() throws {
        let authoriser = FileAuthoriser(
            try AccessFileDecoder.decode(Array(Self.rules.utf8), path: "acl"))
        let guest = Self.client("c1", "guest")
        #expect(
            authoriser.judge(.subscribe(filter: "plant/#", qos: 0), of: guest) { _ in }
                == .allowed(needsDeliveryCheck: true))
        #expect(
            authoriser.judge(.subscribe(filter: "plant/+", qos: 0), of: guest) { _ in }
                == .allowed(needsDeliveryCheck: true))
        #expect(
            authoriser.judge(.subscribe(filter: "plant/open/#", qos: 0), of: guest) { _ in }
                == .allowed(needsDeliveryCheck: false))
        #expect(
            authoriser.judge(.subscribe(filter: "plant/#", qos: 0), of: Self.client("c")) { _ in }
                == .allowed(needsDeliveryCheck: false))
    }

    @Test("a denial that names a client which cannot be put in denies the whole level")
    func denialFailsClosed() throws {
        let text = "default allow\ndeny publish,subscribe private/%c/x\n"
        let authoriser = FileAuthoriser(
            try AccessFileDecoder.decode(Array(text.utf8), path: "acl"))
        func judge(_ action: AccessAction, _ id: String) -> AccessVerdict? {
            authoriser.judge(action, of: Self.client(id)) { _ in }
        }
        let free = AccessVerdict.allowed(needsDeliveryCheck: false)
        #expect(judge(.publish(topic: "private/b/x", qos: 0, retain: false), "a") == free)
        #expect(judge(.publish(topic: "private/a/x", qos: 0, retain: false), "a") != free)
        #expect(judge(.publish(topic: "private/b/x", qos: 0, retain: false), "a/b") != free)
        #expect(judge(.publish(topic: "public/b/x", qos: 0, retain: false), "a/b") == free)
        #expect(judge(.subscribe(filter: "private/+/x", qos: 0), "#") != free)
    }

    @Test("a superuser passes, and clients under the same rules share them")
    func sharing() throws {
        let authoriser = FileAuthoriser(
            try AccessFileDecoder.decode(Array(Self.rules.utf8), path: "acl"))
        func permissions(_ client: ClientIdentity) -> CompiledPermissions? {
            if case .compiled(let compiled) = authoriser.permissions(for: client) {
                compiled
            } else {
                nil
            }
        }
        let one = permissions(Self.client("a"))
        #expect(one != nil && one === permissions(Self.client("b")))
        #expect(one !== permissions(Self.client("a", "guest")))
        var root = Self.client("root")
        root.isSuperuser = true
        #expect(permissions(root) == nil)
    }

    @Test("new rules raise the epoch and hold at once")
    func reload() throws {
        let open = try AccessFileDecoder.decode(Array("default allow\n".utf8), path: "acl")
        let closed = try AccessFileDecoder.decode(Array("default deny\n".utf8), path: "acl")
        let authoriser = FileAuthoriser(open)
        let before = authoriser.epoch
        let action = AccessAction.publish(topic: "t", qos: 0, retain: false)
        #expect(
            authoriser.judge(action, of: Self.client("a")) { _ in }
                == .allowed(needsDeliveryCheck: false))
        authoriser.reload(closed)
        #expect(authoriser.epoch > before)
        #expect(
            authoriser.judge(action, of: Self.client("a")) { _ in }
                != .allowed(needsDeliveryCheck: false))
    }

    /// Contents, line and words of the error.
    static let faults: [(text: String, line: Int?, words: String)] = [
        ("", nil, "does not say what holds"), ("allow publish #\n", nil, "default"),
        ("default maybe", 1, "no default"), ("default deny\ndefault deny", 2, "second time"),
        ("permit publish #", 1, "begins with 'permit'"), ("allow", 1, "names no action"),
        ("allow fly #", 1, "names no action"), ("allow publish", 1, "no topic filter"),
        ("allow connect a/b", 1, "topics for connect"),
        ("allow connect,publish a/b", 1, "names no action"),
        ("\nallow publish a/#/b", 2, "no topic filter"), ("allow publish a+", 1, "no topic filter"),
        ("allow publish %x", 1, "no topic filter"), ("allow publish %", 1, "no topic filter"),
        ("allow publish \"a b", 1, "open quotation"), ("allow publish \"\"", 1, "no topic filter"),
        ("allow publish # network=10.0.0.0/40", 1, "no network"),
        ("allow publish # qos=3", 1, "the QoS '3'"), ("allow publish # retain=2", 1, "retain=2"),
        ("allow subscribe $share/g/a", 1, "no topic filter"),
        ("allow publish a\u{1}b", 1, "no topic filter"), ("allow publish # qos=", 1, "the QoS ''"),
    ]

    @Test("a broken file names its line, the fault and the remedy", arguments: faults)
    func broken(text: String, line: Int?, words: String) {
        let error = #expect(throws: PolicyFileError.self) {
            try AccessFileDecoder.decode(Array(text.utf8), path: "etc/acl")
        }
        #expect(error?.line == line)
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test("files of mosquitto are read")
    func mosquitto() throws {
        let text = """
            # anonymous
            topic read $SYS/#
            topic public/%c

            user alice smith
            topic readwrite a/#
            topic deny a/secret
            topic write w
            pattern read d/%c/%u
            pattern deny d/root/#
            """
        let table = try MosquittoAccessDecoder.decode(Array(text.utf8), path: "acl")
        let authoriser = FileAuthoriser(table)
        func isAllowed(_ action: AccessAction, _ id: String, _ user: String) -> Bool {
            let verdict = authoriser.judge(action, of: Self.client(id, user)) { _ in }
            if case .allowed = verdict { return true }
            return false
        }
        func publish(_ topic: String) -> AccessAction {
            .publish(topic: topic, qos: 0, retain: false)
        }
        #expect(isAllowed(.subscribe(filter: "$SYS/broker/#", qos: 0), "c", ""))
        #expect(isAllowed(publish("public/%c"), "c", ""))
        #expect(!isAllowed(publish("public/c"), "c", ""))
        #expect(!isAllowed(.subscribe(filter: "$SYS/#", qos: 0), "c", "alice smith"))
        #expect(isAllowed(publish("a/b/c"), "c", "alice smith"))
        #expect(!isAllowed(publish("a/secret"), "c", "alice smith"))
        #expect(isAllowed(publish("w"), "c", "alice smith"))
        #expect(!isAllowed(.subscribe(filter: "w", qos: 0), "c", "alice smith"))
        #expect(isAllowed(.subscribe(filter: "d/c/bob", qos: 0), "c", "bob"))
        #expect(!isAllowed(.subscribe(filter: "d/root/bob", qos: 0), "root", "bob"))
        for bad in ["", "topic", "user", "pattern read a/#/b", "acl x", "topic write a+b"] {
            #expect(throws: PolicyFileError.self) {
                try MosquittoAccessDecoder.decode(Array(bad.utf8), path: "acl")
            }
        }
    }

    @Test("patterns without placeholders match like topic filters", arguments: Seed.series(4))
    func matchesLikeFilters(seed: Seed) throws {
        var random = seed.random()
        for _ in 0..<2_000 {
            let filter = Self.randomPath(
                &random, levels: ["a", "b", "", "+", "$x", "ab"], hash: 30)
            let topic = Self.randomPath(&random, levels: ["a", "b", "", "$x", "ab"], hash: 0)
            guard filter != "", topic != "" else { continue }
            let text = "default deny\nallow publish \"\(filter)\"\n"
            let compiled = try AccessFileDecoder.decode(Array(text.utf8), path: "x").compile([0])
            let verdict = compiled.judge(
                .publish(topic: topic, qos: 0, retain: false), of: Self.client("c"))
            let expected = Array(filter.utf8).withRawSpan { filter in
                Array(topic.utf8).withRawSpan { TopicMatch.matches(filter: filter, topic: $0) }
            }
            let isAllowed = verdict == .allowed(needsDeliveryCheck: false)
            #expect(isAllowed == expected, "\(filter) \(topic)")
        }
    }

    @Test("filters overlap exactly if some topic lies in both", arguments: Seed.series(4))
    func overlap(seed: Seed) {
        var random = seed.random()
        let topics = Self.allTopics(levels: ["a", "b", "", "$x"], depth: 4)
        for _ in 0..<60 {
            let one = Self.randomPath(&random, levels: ["a", "b", "", "+", "$x"], hash: 40)
            let other = Self.randomPath(&random, levels: ["a", "b", "", "+", "$x"], hash: 40)
            guard one != "", other != "" else { continue }
            let (left, right) = (Array(one.utf8), Array(other.utf8))
            let found = left.withRawSpan { left in
                right.withRawSpan { FilterOverlap.overlaps(left, $0) }
            }
            let expected = topics.contains { topic in
                [left, right].allSatisfy { filter in
                    filter.withRawSpan { filter in
                        topic.withRawSpan { TopicMatch.matches(filter: filter, topic: $0) }
                    }
                }
            }
            #expect(found == expected, "\(one) \(other)")
        }
    }

    @Test("random files never stop the decoders", arguments: Seed.series(10))
    func randomFiles(seed: Seed) {
        var random = seed.random()
        let words = [
            "allow", "deny", "default", "publish", "subscribe", "connect", "#", "a/+", "%c", "\"",
            "\\", "user=", "qos=1", " ", "\n", "network=::/0", "é", "\u{0}", "topic", "pattern",
        ]
        for _ in 0..<500 {
            let text = (0..<random.below(30)).map { _ in words[random.below(words.count)] }
            let bytes = Array(text.joined(separator: random.chance(percent: 50) ? " " : "").utf8)
            _ = try? AccessFileDecoder.decode(bytes, path: "x")
            _ = try? MosquittoAccessDecoder.decode(bytes, path: "x")
        }
    }

    private static func randomPath(
        _ random: inout SeededRandom, levels: [String], hash: Int
    ) -> String {
        var path = (0..<1 + random.below(3)).map { _ in levels[random.below(levels.count)] }
        if hash > 0, random.chance(percent: hash) { path.append("#") }
        if hash > 0, random.chance(percent: 5) { path = ["#"] }
        return path.joined(separator: "/")
    }

    private static func allTopics(levels: [String], depth: Int) -> [[UInt8]] {
        var all: [String] = []
        var last = levels
        for _ in 0..<depth {
            all += last
            last = last.flatMap { start in levels.map { start + "/" + $0 } }
        }
        return all.map { Array($0.utf8) }
    }
}
