import Foundation
import PerfReport
import Testing

@Suite struct ComparisonFileTests {
    static let examplePath: String = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.appendingPathComponent("Perf/Examples/compare.json").path
    }()

    @Test func `the example names mosquitto and apus`() throws {
        let file = try ComparisonFile.read(path: Self.examplePath)
        #expect(file.brokers.map(\.name) == ["mosquitto", "apus"])
        #expect(file.brokers[0].files["mosquitto.conf"]?.contains("listener {port}") == true)
    }

    @Test func `all fields are read`() throws {
        let text = """
            {"comment": "c", "brokers": [{"comment": "d", "name": "b", "start": ["x", "{port}"],
            "files": {"f": "{data}"}, "environment": {"A": "{name}"}, "version": ["x", "-v"],
            "ready_seconds": 2.5, "end_seconds": 3, "loops": 4, "poller": "epoll"}]}
            """
        var spec = BrokerSpec(name: "b", start: ["x", "{port}"])
        spec.files = ["f": "{data}"]
        spec.environment = ["A": "{name}"]
        spec.version = ["x", "-v"]
        spec.readySeconds = 2.5
        spec.endSeconds = 3
        spec.loops = 4
        spec.poller = "epoll"
        #expect(
            try ComparisonFile.parse(Data(text.utf8), path: "f") == ComparisonFile(brokers: [spec]))
    }

    static let broker = "{\"name\":\"b\",\"start\":[\"x\",\"{port}\"]MORE}"

    @Test(arguments: [
        ("", "f: is not JSON"),
        ("[]", "f: it has another type"),
        ("{}", "f: it has no \"brokers\""),
        ("{\"brokers\":[]}", "f: names no broker"),
        ("{\"broker\":[]}", "f: it: \"broker\" is none of comment, brokers"),
        ("{\"brokers\":[{\"name\":\"b\"}]}", "f: brokers[0] has no \"start\""),
        ("{\"brokers\":[{\"name\":\"b\",\"start\":[]}]}", "f: b: \"start\" has no program"),
        (
            "{\"brokers\":[{\"name\":\"b\",\"start\":[\"x\"]}]}",
            "f: b: nothing tells it its {port}"
        ),
        ("{\"brokers\":[BROKER,BROKER]}", "f: names a broker twice"),
        (
            "{\"brokers\":[BROKER,\"environment\":{\"A\":\"{dta}\"}]}",
            "f: b: {dta} is none of {port}, {data}, {name}"
        ),
        (
            "{\"brokers\":[BROKER,\"files\":{\"../f\":\"\"}]}",
            "f: b: \"../f\" is no plain file name"
        ),
        (
            "{\"brokers\":[BROKER,\"ready_seconds\":1e9]}",
            "f: b: \"ready_seconds\" and \"end_seconds\" lie between 0.1 and 600"
        ),
        ("{\"brokers\":[BROKER,\"loops\":\"2\"]}", "f: brokers[0].loops has another type"),
    ])
    func `a slip in the file is told`(text: String, words: String) {
        // Fields after BROKER are fields of it.
        var text = text
        if let place = text.range(of: "BROKER,\"") {
            let end = text.lastIndex(of: "]") ?? text.endIndex
            let fields = "," + text[text.index(place.upperBound, offsetBy: -1)..<end]
            text.replaceSubrange(place.lowerBound..<end, with: Self.broker)
            text = text.replacing("MORE", with: fields)
        }
        text = text.replacing("BROKER", with: Self.broker).replacing("MORE", with: "")
        let error = #expect(throws: ComparisonError.self) {
            try ComparisonFile.parse(Data(text.utf8), path: "f")
        }
        #expect(error?.description == words)
    }

    @Test func `a file that is not there is told`() {
        let error = #expect(throws: ComparisonError.self) {
            try ComparisonFile.read(path: "/nowhere/f")
        }
        #expect(error?.description == "/nowhere/f: cannot be read")
    }
}
