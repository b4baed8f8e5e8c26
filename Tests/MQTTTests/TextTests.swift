import Base
import MQTT
import TestKit
import Testing

@Suite("Text")
struct TextTests {
    func verdict(_ text: [UInt8], _ options: TextScan.Options = .text) -> TextScan.Verdict {
        text.withRawSpan { TextScan.check($0, ByteRange(whole: $0), options) }
    }

    @Test(
        "well-formed UTF-8 is accepted at the edges of every length [MQTT-1.5.4-1]",
        arguments: [
            "", "01", "7F", "C2 80", "DF BF", "E0 A0 80", "ED 9F BF", "EE 80 80", "EF BF BF",
            "F0 90 80 80", "F4 8F BF BF", "EF BB BF", "41 F0 AA 9B 94",
        ])
    func wellFormed(text: String) {
        #expect(verdict(bytes(text)) == .valid)
        #expect(verdict(bytes("'abcdefghijk' \(text) 'lmnopqrstuvw'")) == .valid)
    }

    @Test(
        "ill-formed UTF-8 is refused wherever it stands [MQTT-1.5.4-1]",
        arguments: [
            "80", "BF", "C0 80", "C1 BF", "C2", "C2 41", "E0 80 80", "E0 9F BF", "E2 82",
            "ED A0 80", "ED BF BF", "F0 80 80 80", "F0 8F BF BF", "F0 90 80", "F4 90 80 80",
            "F5 80 80 80", "F8 88 80 80 80", "FE", "FF", "E2 28 A1", "F0 28 8C BC",
        ])
    func illFormed(text: String) {
        for before in 0..<18 {
            let padding = String(repeating: "61", count: before)
            #expect(verdict(bytes("\(padding) \(text)")) == .illFormed, "behind \(before)")
            #expect(verdict(bytes("\(padding) \(text) 6161")) == .illFormed, "behind \(before)")
        }
    }

    @Test("U+0000 and wildcards are found at every place of texts of every length")
    func everyPlace() {
        for count in 1..<40 {
            for place in 0..<count {
                for (byte, expected) in [(0, .null), (0x2B, .wildcard), (0x23, .wildcard)]
                    as [(UInt8, TextScan.Verdict)]
                {
                    var text = [UInt8](repeating: 0x61, count: count)
                    text[place] = byte
                    #expect(verdict(text, .topicName) == expected)
                    #expect(verdict(text, .payload) == .valid)
                }
            }
        }
    }

    @Test("bytes just beside zero and the wildcards are no alarm")
    func neighbours() {
        for byte in 1...0x7F as ClosedRange<UInt8> where byte != 0x2B && byte != 0x23 {
            for count in 1...17 {
                let text = [UInt8](repeating: byte, count: count)
                #expect(verdict(text, .topicName) == .valid)
            }
        }
    }

    @Test("the verdict equals the standard library's on random bytes", arguments: Seed.series(40))
    func equalsStandardLibrary(seed: Seed) {
        var random = seed.random()
        let alphabet: [UInt8] = [0x41, 0x7F, 0x80, 0xBF, 0xC2, 0xE0, 0xA0, 0xED, 0x9F, 0xF0, 0x90]
        for _ in 0..<500 {
            let text = (0..<random.below(24)).map { _ in
                random.chance(percent: 60) ? 0x61 : alphabet[random.below(alphabet.count)]
            }
            let expected = String(validating: text, as: UTF8.self) != nil
            #expect((verdict(text) == .valid) == expected, "\(text)")
        }
    }
}
