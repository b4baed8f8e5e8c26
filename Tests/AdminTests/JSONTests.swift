import Admin
import TestKit
import Testing

@Suite("JSON")
struct JSONTests {
    @Test(
        "what it writes it reads again",
        arguments: [
            #"{"a":[1,-2,3.5,true,false,null,"x\"y\\z\u2028ü😀"],"b":{}}"#, "[]", "0", "\"\"",
            "9223372036854775807", "1e3", "-0.5",
        ])
    func roundTrip(text: String) throws {
        let value = try JSONReader.decode(Array(text.utf8))
        #expect(try JSONReader.decode(value.encoded) == value)
    }

    @Test(
        "what is no JSON is refused",
        arguments: [
            "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}", "01", "+1", ".5", "1.", "1e", "-",
            "\"\\x\"", "\"\\u12\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "'a'", "tru", "[1 2]",
            "{\"a\" 1}", "NaN", "1e999", "[,1]", "\"a\nb\"",
        ])
    func refused(text: String) {
        #expect(throws: JSONError.self) { try JSONReader.decode(Array(text.utf8)) }
    }

    @Test("text that is not UTF-8 is refused")
    func badText() {
        #expect(throws: JSONError.self) { try JSONReader.decode([0x22, 0xFF, 0x22]) }
    }

    @Test("escapes are what they stand for")
    func escapes() throws {
        let value = try JSONReader.decode(Array(#""\u0041\n\ud83d\ude00\/""#.utf8))
        #expect(value == .text("A\n😀/"))
    }

    @Test("random bytes are read or refused, never trapped on", arguments: Seed.series(4))
    func random(seed: Seed) {
        var random = seed.random()
        let alphabet = Array("{}[]\",:\\u0123456789eE+-.truefalsn \u{1}ü".utf8)
        for _ in 0..<2_000 {
            let bytes = (0..<random.below(30)).map { _ in alphabet[random.below(alphabet.count)] }
            _ = try? JSONReader.decode(bytes)
        }
    }
}
