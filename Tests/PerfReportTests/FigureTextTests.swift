import PerfReport
import Testing

@Suite struct FigureTextTests {
    @Test(arguments: [
        (0.0, "0"), (1, "1"), (0.012_34, "0.0123"), (1.234, "1.23"), (99.94, "99.9"),
        (99.96, "100"), (1_234.5, "1,235"), (-3.25, "−3.25"), (0.000_000_1, "0"),
        (1e15, "–"), (Double.nan, "–"), (-Double.infinity, "–"), (9.999, "10"),
    ])
    func `numbers have three digits that count`(value: Double, text: String) {
        #expect(FigureText.number(value) == text)
    }

    @Test(arguments: [
        (0.0, "0 µs"), (85.31, "85.3 µs"), (999.4, "999 µs"), (999.6, "1 ms"), (1_234, "1.23 ms"),
        (999_600, "1 s"), (2_500_000, "2.5 s"),
    ])
    func `latency has the unit that suits it`(value: Double, text: String) {
        #expect(FigureText.latency(value) == text)
    }

    @Test(arguments: [
        (0.0, "0%"), (50, "50%"), (99.9, "99.9%"), (99.999_9, "99.9999%"), (100, "max"),
    ])
    func `a percentile is never rounded up to all`(value: Double, text: String) {
        #expect(FigureText.percentile(value) == text)
    }

    @Test(arguments: [
        (0.0, "0 B"), (1_023, "1,023 B"), (1_023.6, "1 KiB"), (1_536, "1.5 KiB"),
        (10_485_760, "10 MiB"), (5e15, "4,547 TiB"),
    ])
    func `bytes have binary units`(value: Double, text: String) {
        #expect(FigureText.bytes(value) == text)
    }

    @Test func `counts, rates and times`() {
        #expect(FigureText.count(1_234_567) == "1,234,567" && FigureText.count(-12) == "−12")
        #expect(FigureText.count(.min) == "−9,223,372,036,854,775,808")
        #expect(FigureText.rate(12_345.6) == "12,346/s" && FigureText.rate(0.5) == "0.5/s")
        #expect(FigureText.time(90) == "90 s" && FigureText.time(150) == "2.5 min")
        #expect(FigureText.time(5_400) == "90 min" && FigureText.time(9_000) == "2.5 h")
        #expect(FigureText.short("abcdef", 4) == "abc…" && FigureText.short("abcd", 4) == "abcd")
    }
}
