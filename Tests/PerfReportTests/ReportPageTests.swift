import Foundation
import PerfReport
import Testing

@Suite struct ReportPageTests {
    /// Pages by name: to be checked here, and to be looked at in a browser.
    static let names = [
        "none", "one", "two", "eight", "repeated", "faults", "idle", "load", "scaling", "long",
        "hostile", "absurd", "cut",
    ]

    /// Runs of a page that is checked here and can be looked at in a browser.
    static func runs(_ name: String) -> [RunRecord] {
        switch name {
        case "one": [SampleRuns.run("apus")]
        case "two":
            [SampleRuns.run("apus"), SampleRuns.run("mosquitto", latency: 900, perSecond: 7_000)]
        case "eight":
            (0..<8).map { SampleRuns.run("broker-\($0)", latency: 80 * pow(1.6, Double($0))) }
        case "repeated": (0..<10).map(repetition)
        case "faults": [SampleRuns.faulty(), SampleRuns.run("apus", rate: 5_000, seconds: 60)]
        case "idle":
            [
                SampleRuns.idle("apus", bytesEach: 640),
                SampleRuns.idle("other", bytesEach: 4_100),
            ]
        case "load":
            SampleRuns.load("apus", knee: 26_000) + SampleRuns.load("mosquitto", knee: 14_000)
        case "scaling":
            SampleRuns.scaling("apus", share: 0.93) + SampleRuns.scaling("other", share: 0.6)
        case "long": [SampleRuns.run("apus", seconds: 86_400)]
        case "hostile": [SampleRuns.hostile(), SampleRuns.run("apus")]
        case "absurd": [SampleRuns.absurd(), SampleRuns.absurd()]
        case "cut": [RunRecord(head: RunHead())]
        default: []
        }
    }

    private static func repetition(_ index: Int) -> RunRecord {
        let factor = 1 + 0.05 * Double(index)
        return index % 2 == 0
            ? SampleRuns.run("apus", latency: 100 * factor)
            : SampleRuns.run("mosquitto", latency: 700 * factor)
    }

    @Test(arguments: names)
    func `a page is whole, says nothing that is no figure, and fetches nothing`(name: String) throws
    {
        let html = ReportPage(runs: Self.runs(name), writtenAt: "2026-01-02T03:04:05Z").html()
        if let folder = ProcessInfo.processInfo.environment["APUS_WRITE_PAGES"] {
            try html.write(toFile: "\(folder)/\(name).html", atomically: true, encoding: .utf8)
        }
        #expect(Tags.unbalanced(in: html) == nil)
        for word in ["<script", "http:", "https:", "url(", "@import", "javascript", "NaN", "inf"] {
            #expect(!html.contains(word) || name == "hostile" && word == "javascript", "\(word)")
        }
        #expect(!html.contains("\"nan\"") && !html.contains(" nan"))
        #expect(html.utf8.count < 1 << 20)
    }

    @Test func `a name from a file cannot become an element or an attribute`() {
        let html = ReportPage(runs: [SampleRuns.hostile()], title: SampleRuns.hostileText).html()
        #expect(!html.contains("<script") && !html.contains("\" onload"))
        #expect(!html.contains("\u{202E}") && !html.contains("\0"))
        #expect(html.contains("&lt;script&gt;alert(1)"))
    }

    @Test(arguments: [
        (0, 0, 0, "0 lost, 0 duplicates, 0 out of order of 300,000", true),
        (12, 1, 3, "12 lost, 1 duplicate, 3 out of order of 300,000", false),
    ])
    func `loss and duplicates stand on the page`(
        lost: Int, duplicates: Int, disorder: Int, words: String, isGood: Bool
    ) {
        var run = SampleRuns.run("apus")
        run.end?.lost = lost
        run.end?.duplicates = duplicates
        run.end?.orderViolations = disorder
        let html = ReportPage(runs: [run]).html()
        #expect(html.contains(words))
        #expect(html.contains("class=\"bad\"") != isGood)
    }

    @Test func `a run without messages and a run without an end are told as such`() {
        let idle = ReportPage(runs: [SampleRuns.idle("apus", bytesEach: 600)]).html()
        #expect(idle.contains("no messages were sent") && !idle.contains("class=\"bad\""))
        #expect(!idle.contains("Throughput over time"))
        var cut = SampleRuns.run("apus")
        cut.end = nil
        let html = ReportPage(runs: [cut]).html()
        #expect(html.contains("did not come to its end"))
        #expect(html.contains("Throughput over time"))
    }

    @Test func `the slope of memory over connections is printed`() {
        let html = ReportPage(runs: [
            SampleRuns.idle("apus", bytesEach: 640), SampleRuns.idle("other", bytesEach: 4_100),
        ]).html()
        let section = html.components(separatedBy: "<h2>Memory against connections")[1]
        for (name, low, high) in [("apus", 620, 660), ("other", 4_080, 4_120)] {
            let text = section.components(separatedBy: "\(name): ")[1].prefix { $0 != " " }
            let slope = Int(Double(text.replacing(",", with: "")) ?? 0)
            #expect(slope > low && slope < high, "\(name) \(slope)")
        }
    }

    @Test func `memory before and after is a slope, but not of a run with messages`() {
        var run = SampleRuns.idle("apus", bytesEach: 500)
        run.samples = []
        let section = ReportPage(runs: [run]).html().components(
            separatedBy: "<h2>Memory against connections")
        #expect(section.count == 2 && section[1].contains("apus: 500 bytes per connection"))
        run.end?.sent = 1
        #expect(!ReportPage(runs: [run]).html().contains("Memory against connections"))
    }

    @Test func `a plot of load or of scaling needs runs that differ in that alone`() {
        let load = ReportPage(runs: SampleRuns.load("apus", knee: 26_000)).html()
        #expect(load.contains("Latency against offered load"))
        #expect(load.contains("class=\"hollow"))
        #expect(!load.contains("Scaling over loops"))
        let scaling = ReportPage(runs: SampleRuns.scaling("apus", share: 1)).html()
        #expect(scaling.contains("Scaling over loops") && scaling.contains("100%"))
        let two = ReportPage(runs: [
            SampleRuns.run("apus", rate: 100), SampleRuns.run("mosquitto", rate: 200),
        ]).html()
        #expect(!two.contains("Latency against offered load"))
    }

    @Test func `labels hold what differs, and repetitions share one`() {
        let html = ReportPage(runs: [
            SampleRuns.run("apus"), SampleRuns.run("mosquitto"), SampleRuns.run("apus"),
        ]).html()
        #expect(html.contains("<bdi>apus (2 runs)</bdi>"))
        #expect(html.contains("<bdi>apus (run 3)</bdi>"))
        #expect(html.contains("<bdi>mosquitto</bdi>"))
    }

    @Test func `what differs between runs is told apart from what they share`() throws {
        let html = ReportPage(runs: [SampleRuns.run("a"), SampleRuns.run("b")]).html()
        let setup = html.components(separatedBy: "<h3>")
        let differs = try #require(setup.first { $0.hasPrefix("What differs") })
        let same = try #require(setup.first { $0.hasPrefix("What is the same") })
        #expect(differs.contains("<dt>broker</dt><dd>a</dd>") && !differs.contains("kernel"))
        #expect(same.contains("<dt>kernel</dt>") && same.contains("<dt>net.core.somaxconn</dt>"))
        #expect(same.contains("--name &#39;a pair&#39;\\&#39;&#39;s run&#39;"))
    }

    @Test
    func `a time in which nothing arrived is a gap in the latency, and zero in the throughput`()
        throws
    {
        let html = ReportPage(runs: [SampleRuns.faulty()]).html()
        for (title, strokes) in [("Throughput over time", 1), ("Latency over time", 2)] {
            let section = html.components(separatedBy: "<h2>\(title)")[1]
            let path = section.components(separatedBy: " d=\"")[2].prefix { $0 != "\"" }
            #expect(path.count { $0 == "M" } == strokes, "\(title)")
        }
    }

    @Test func `where a run has nothing to say the table has a dash`() {
        let html = ReportPage(runs: [
            SampleRuns.run("a", seconds: 4), SampleRuns.run("b", seconds: 8),
        ]).html()
        let section = html.components(separatedBy: "<h2>Throughput over time")[1]
        let row = section.components(separatedBy: "<th scope=\"row\">6 s</th>")[1]
        #expect(row.hasPrefix("<td>–</td><td>1"))
    }

    @Test func `what no measurement can give is left out`() {
        let html = ReportPage(runs: [SampleRuns.absurd()]).html()
        #expect(html.contains("<td>no limit</td>"))
        #expect(!html.contains(">–</text>") && !html.contains("1e300"))
        #expect(!html.contains("warm-up</dt>"))
        let section = html.components(separatedBy: "<h2>Latency over time")[1]
        #expect(section.components(separatedBy: "</svg>")[1].contains("1 ms</text>"))
    }

    @Test func `brokers that took turns have ratios, and nothing else has`() throws {
        let html = ReportPage(runs: Self.runs("repeated")).html()
        let section = html.components(separatedBy: "<h2>")[2]
        #expect(section.hasPrefix("Ratios"))
        #expect(section.contains("<caption>mosquitto / apus, 5 rounds</caption>"))
        #expect(section.contains("<td>5 of 5</td><td>0.0625</td>"))
        for name in Self.names where name != "repeated" && name != "long" {
            #expect(!ReportPage(runs: Self.runs(name)).html().contains("<h2>Ratios"), "\(name)")
        }
    }

    @Test func `repetitions are told once, with what each had of its own`() throws {
        var runs = Self.runs("repeated")
        for index in runs.indices { runs[index].head.broker.pid = Int32(index + 1) }
        let html = ReportPage(runs: runs).html()
        #expect(html.contains("<dt>broker process</dt><dd>1, 3, 5, 7, 9</dd>"))
        #expect(html.components(separatedBy: "<dt>broker process</dt>").count == 3)
    }

    @Test func `faults are numbered in the plots and explained beneath`() {
        let html = ReportPage(runs: [SampleRuns.faulty()]).html()
        #expect(html.contains("<b>1</b> at 20 s: <bdi>kill -9 node 2</bdi>"))
        #expect(html.components(separatedBy: "class=\"marker").count == 1 + 3 * 3)
    }
}

/// Follows the tags of a page.
enum Tags {
    /// What is wrong with the first tag that does not fit; nil if all do.
    static func unbalanced(in html: String) -> String? {
        var open: [Substring] = []
        var rest = html.dropFirst("<!DOCTYPE html>".count)
        while let start = rest.firstIndex(of: "<") {
            guard let end = rest[start...].firstIndex(of: ">") else { return "no end: \(rest)" }
            let tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            if tag.hasSuffix("/") { continue }
            if tag.contains("<") { return "a bare <: \(tag)" }
            if tag.hasPrefix("/") {
                guard open.popLast() == tag.dropFirst() else { return "closes: \(tag)" }
            } else {
                open.append(tag.prefix { $0 != " " && $0 != "\n" })
            }
        }
        return open.isEmpty ? nil : "never closed: \(open)"
    }
}
