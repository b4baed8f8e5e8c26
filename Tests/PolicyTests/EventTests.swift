import Base
import Policy
import Testing

@Suite("Events")
struct EventTests {
    /// One event of every kind, with the payload that it carries.
    static let samples: [(name: String, event: Event)] = eventSamples

    @Test("every kind has a row of its number, and the reference has 84")
    func rows() {
        #expect(EventTable.rows.map(\.kind) == EventKind.allCases)
        #expect(Set(EventTable.rows.map(\.name)).count == EventTable.rows.count)
        let first = EventTable.rows[..<84]
        #expect(first.last?.name == "MQTT_SESSION_STOP")
        #expect(first.first?.name == "AUTH_ERROR")
    }

    @Test("every kind can be built and says its name", arguments: samples)
    func built(name: String, event: Event) {
        #expect(event.kind.name == name)
        #expect(EventTable.row(named: name)?.kind == event.kind)
        let record = EventRecord(
            milliseconds: 1, tenant: "acme",
            subject: EventSubject(user: "u", clientID: "c", peer: "127.0.0.1:1"), event: event)
        #expect(record.logLine.hasPrefix(name + " tenant=acme client='c' user='u'"))
        #expect(record.json.hasPrefix("{\"time\":1,\"type\":\"\(name)\""))
        for field in event.fields { #expect(record.json.contains("\"\(field.name)\":")) }
    }

    @Test("the samples name every kind once")
    func complete() {
        #expect(Self.samples.map(\.event.kind) == EventKind.allCases)
    }

    @Test("a name with line breaks and escape codes cannot forge a log line")
    func escaping() {
        let record = EventRecord(
            milliseconds: 0, tenant: "t",
            subject: EventSubject(
                user: "a\nERROR forged", clientID: "\u{1B}[31m\u{2028}\u{202E}x\\", peer: ""),
            event: .channel(.channelError(cause: "\r\n'\"")))
        for scalar in record.logLine.unicodeScalars {
            #expect(scalar.value >= 0x20 && scalar.value != 0x7F && scalar.value != 0x2028)
        }
        #expect(record.logLine.contains("a\\u{a}ERROR forged"))
        #expect(!record.json.contains("\n"))
        #expect(record.json.contains("\\u000d\\u000a'\\\""))
    }

    @Test("an event is always counted and built only if someone wants it")
    func lazily() throws {
        var tenants = TenantCache()
        let made = tenants.slot(of: .standard, settings: .standard, account: TenantAccount())
        let tenant = try #require(made)
        var wanted = EventMask()
        wanted.insert(.idle)
        wanted.insert(.qos1Pushed)
        var queue = EventQueue(wanted: wanted)
        var built = 0
        func record(_ event: Event) -> EventRecord {
            built += 1
            return EventRecord(milliseconds: 0, tenant: "default", subject: nil, event: event)
        }
        queue.report(.idle, tenant) { record(.disconnect(.idle(keepAlive: 60))) }
        queue.report(.byServer, tenant) { record(.disconnect(.byServer)) }
        for debugMode in [false, true] {
            queue.report(.qos1Pushed, tenant, debugMode: debugMode) {
                record(
                    .push(
                        .qos1Pushed(packetID: 1, isDup: false, topic: "t", filter: "t", size: 0)))
            }
        }
        queue.drop(.overflow, kind: .qos1Dropped, tenant) { record(.disconnect(.byServer)) }
        #expect(built == 2)
        let flushed = queue.flush()
        #expect(flushed.map(\.event.kind) == [.idle, .qos1Pushed])
        let isEmpty = queue.isEmpty
        #expect(isEmpty)
        let totals = queue.metrics.snapshot(tenants)
        #expect(totals.value(.idle, of: .standard) == 1)
        #expect(totals.value(.byServer, of: .standard) == 1)
        #expect(totals.value(.qos1Pushed, of: .standard) == 2)
        #expect(totals.value(.qos1Dropped, of: .standard) == 1)
        #expect(totals.value(.overflow, of: .standard) == 1)
    }

    @Test("a queue that is not flushed is bounded")
    func bounded() {
        var queue = EventQueue(wanted: .all)
        for _ in 0..<EventQueue.limit + 5 {
            queue.report(.byServer, TenantSlot(0)) {
                EventRecord(
                    milliseconds: 0, tenant: "t", subject: nil, event: .disconnect(.byServer))
            }
        }
        let overflowed = queue.overflowed
        let flushed = queue.flush()
        #expect(overflowed == 5)
        #expect(flushed.count == EventQueue.limit)
    }

    @Test("counters of two loops add up, also with many tenants")
    func merge() throws {
        var totals = EventTotals()
        for _ in 0..<2 {
            var tenants = TenantCache()
            var metrics = EventMetrics()
            for number in 0..<100 {
                let name = try #require(TenantName("t\(number)"))
                let made = tenants.slot(of: name, settings: .standard, account: TenantAccount())
                let slot = try #require(made)
                metrics.count(.idle, slot, by: number)
                metrics.count(.expired, slot)
            }
            totals.merge(metrics.snapshot(tenants))
        }
        let last = try #require(TenantName("t99"))
        #expect(totals.value(.idle, of: last) == 198)
        #expect(totals.value(.expired, of: last) == 2)
    }

    @Test("the log gets so many lines of a kind per second and then the number left out")
    func logLimit() {
        let lines = Guarded<[String]>([])
        let now = Guarded(Instant(nanoseconds: 5_000_000_000))
        let sink = LogEventSink(atLeast: .info, clock: { now.withLock { $0 } }) { _, line in
            lines.withLock { $0.append(line) }
        }
        let record = EventRecord(
            milliseconds: 0, tenant: "t", subject: nil, event: .disconnect(.byServer))
        sink.receive([EventRecord](repeating: record, count: 100))
        #expect(lines.withLock { $0.count } == LogEventSink.linesPerSecond)
        now.withLock { $0 = $0 + .seconds(1) }
        sink.receive([record])
        #expect(lines.withLock { $0.last ?? "" }.hasSuffix("(and 80 more like it before)"))
    }

    @Test("the latest events of a tenant are kept, oldest first, of one client if asked")
    func recent() {
        let table = RecentEventsTable(wanted: .all)
        let count = RecentEventsTable.eventsPerTenant + 10
        for number in 0..<count {
            let subject = EventSubject(user: "", clientID: "c\(number % 2)", peer: "")
            table.receive([
                EventRecord(
                    milliseconds: UInt64(number), tenant: "default", subject: subject,
                    event: .disconnect(.byServer))
            ])
        }
        let all = table.records(of: .standard)
        #expect(all.map(\.milliseconds) == (10..<UInt64(count)).map { $0 })
        let half = table.records(of: .standard, clientID: "c1")
        #expect(half.count == RecentEventsTable.eventsPerTenant / 2)
    }
}
