import PerfLoad
import PerfReport
import Testing

@Suite("Memory that a broker tells of itself")
struct AdminProbeTests {
    @Test("bytes by owner are found among the other metrics, those of several lines as a sum")
    func parse() {
        let page = """
            # TYPE apus_memory_bytes gauge
            apus_memory_bytes{owner="sessions"} 4096
            apus_process_resident_memory_bytes 46354432
            apus_memory_bytes{owner="timers"} 64
            apus_memory_bytes{owner="timers"} 8
            apus_memory_bytes{owner="cut
            apus_memory_bytes{owner="routes"} many
            """
        #expect(AdminProbe.parse(page) == ["sessions": 4096, "timers": 72])
    }

    @Test("what no owner has is told, if the process's growth is known")
    func growth() {
        let before = ["sessions": 1_000, "timers": 10]
        let after = ["sessions": 1_500, "timers": 20, "routes": 300]
        let rows = AdminProbe.growth(from: before, to: after, ofProcess: 1_000)
        #expect(rows.map(\.owner) == ["sessions", "routes", "timers", "not accounted"])
        #expect(rows.map(\.bytes) == [500, 300, 10, 190])
        #expect(AdminProbe.growth(from: before, to: after, ofProcess: nil).count == 3)
    }

    @Test("an admin port is an IPv4 address and a port")
    func address() {
        #expect(AdminProbe("127.0.0.1:8091")?.port == 8_091)
        for text in ["127.0.0.1", "localhost:8091", "[::1]:8091", "127.0.0.1:80910", ""] {
            #expect(AdminProbe(text) == nil, "\(text)")
        }
    }
}
