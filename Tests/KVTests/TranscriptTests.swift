import Foundation
import Testing

/// Transcripts of a host: commands, a rule, what left it. A reviewer reads the difference.
struct TranscriptTests {
    @Test(
        "a host answers as the transcript says",
        arguments: ["lanes", "holds", "split", "fence", "questions"])
    func transcript(name: String) throws {
        let url = try #require(
            Bundle.module.url(forResource: name, withExtension: "txt", subdirectory: "Transcripts"))
        let host = HostTranscript()
        var output: [String] = []
        var expected: [String] = []
        var isExpected = false
        for line in try String(contentsOf: url, encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false
        ).map(String.init) {
            if line.hasPrefix("#") { continue }
            if line == "----" {
                isExpected = true
            } else if line.isEmpty {
                if isExpected { #expect(output == expected, "\(name)") }
                (output, expected, isExpected) = ([], [], false)
            } else if isExpected {
                expected.append(line)
            } else {
                output += host.play(line)
            }
        }
        if isExpected { #expect(output == expected, "\(name), at the end") }
    }
}
