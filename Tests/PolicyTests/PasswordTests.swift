import Base
import Policy
import TestKit
import Testing

@Suite("Password files")
struct PasswordTests {
    static let salt = Array("0123456789abcdef".utf8)

    @Test(
        "an entry of every form comes back from its text",
        arguments: PasswordEntry.Algorithm.allCases)
    func roundTrip(algorithm: PasswordEntry.Algorithm) throws {
        let entry = try #require(
            PasswordEntry.make(algorithm, password: Array("secret".utf8), salt: Self.salt))
        #expect(PasswordEntry(text: entry.text) == entry)
        #expect(entry.verify(Array("secret".utf8)))
        #expect(!entry.verify(Array("Secret".utf8)))
        #expect(!entry.verify([]))
    }

    @Test("an entry that mosquitto_passwd of Debian 12 wrote is read")
    func mosquittoEntry() throws {
        let text =
            "$7$101$sg4FIDki8nfEe+qI$2gyO12ivAxk2n8rytCHt3zbi3vqdIyG9ovFNnE786DeHaLtoKveoGXjWpehAAG"
            + "w2fKmQKXrtX3TVYDSPNzWxuA=="
        let entry = try #require(PasswordEntry(text: text))
        #expect(entry.verify(Array("secret".utf8)))
        #expect(!entry.verify(Array("secre".utf8)))
        #expect(entry.text == text)
    }

    @Test(
        "a file of the installed mosquitto_passwd is read",
        .enabled(if: FileBytes.exists("/usr/bin/mosquitto_passwd"), "needs mosquitto_passwd"))
    func mosquittoFile() throws {
        let directory = try TemporaryDirectory("passwords")
        let path = directory.file("passwd")
        let tool = try ChildProcess(
            path: "/usr/bin/mosquitto_passwd", arguments: ["-b", "-c", path, "bob", "päss word"])
        #expect(tool.waitForExit(within: .seconds(20)) == 0)
        let table = try PolicyFiles.passwords(path)
        #expect(table.entries["bob"]?.verify(Array("päss word".utf8)) == true)
    }

    @Test(
        "what is not an entry is refused",
        arguments: [
            "", "secret", "$", "$$$$", "$1$a$b$c", "$scrypt$ln=14,r=8$c2FsdA$AAAA",
            "$scrypt$ln=40,r=8,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA",
            "$scrypt$r=8,ln=14,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA",
            "$7$0$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==", "$7$-1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==",
            "$7$101$c2FsdA==$", "$7$101$!!!!$AAAAAAAAAAAAAAAAAAAAAA==",
            "$7$99999999999$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA==", "$7$101$c2FsdA==$QUJD",
            "$scram-sha-256$1$c2FsdA$AAAA$AAAA", "$6$LBLzfc947h2t3zxZ$LeAPwyLO7eLAy9",
        ])
    func refusesEntry(text: String) {
        #expect(PasswordEntry(text: text) == nil)
    }

    /// Contents, line and words of the error.
    static let broken: [(text: String, line: Int?, words: String)] = [
        ("", nil, "has no user"), ("# nobody\n\n", nil, "has no user"),
        ("alice\n", 1, "has no 'user:'"), (":$7$", 1, "has no 'user:'"),
        ("# ok\nalice:plain\n", 2, "no hashed password"),
        ("alice:$6$LBLzfc947h2t3zxZ$LeAPwyLO7eLAy9/L84rZ5+MP\n", 1, "not safe"),
        ("alice:$9$x$y$z\n", 1, "unknown form"),
        ("alice:\(valid)\nalice:\(valid)\n", 2, "second entry"),
    ]
    static let valid = "$7$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAA=="

    @Test("a broken file names its line, the fault and the remedy", arguments: Self.broken)
    func brokenFile(text: String, line: Int?, words: String) throws {
        let error = #expect(throws: PolicyFileError.self) {
            try PasswordTable(Array(text.utf8), path: "etc/passwd")
        }
        #expect(error?.line == line)
        let message = error?.description ?? ""
        #expect(message.hasPrefix("etc/passwd"))
        #expect(message.contains(words))
        #expect(message.contains("; "))
    }

    @Test("lines that are no text, or end in carriage returns")
    func lines() throws {
        #expect(throws: PolicyFileError.self) { try PasswordTable([0xFF, 0x3A], path: "p") }
        let table = try PasswordTable(Array("a:\(Self.valid)\r\nt/b:\(Self.valid)".utf8), path: "p")
        #expect(Set(table.entries.keys) == ["a", "t/b"])
    }

    @Test("a file that is not there is an error with the system's words")
    func missing() {
        let error = #expect(throws: PolicyFileError.self) {
            try PolicyFiles.passwords("/nonexistent/passwd")
        }
        #expect(error?.description.contains("No such file") == true)
    }

    @Test("editing sets, replaces and removes a user and keeps the rest")
    func edit() throws {
        let entry = try #require(PasswordEntry(text: Self.valid))
        let start = "# users\nalice:old\n"
        let added = PasswordTable.edit(start, user: "bob", entry: entry)
        #expect(added.text == "# users\nalice:old\nbob:\(Self.valid)\n")
        #expect(!added.existed)
        let changed = PasswordTable.edit(added.text, user: "alice", entry: entry)
        #expect(changed.text == "# users\nalice:\(Self.valid)\nbob:\(Self.valid)\n")
        #expect(changed.existed)
        let removed = PasswordTable.edit(changed.text, user: "bob", entry: nil)
        #expect(removed.text == "# users\nalice:\(Self.valid)\n")
        #expect(!PasswordTable.edit(removed.text, user: "bob", entry: nil).existed)
    }

    @Test(
        "names that cannot stand in a file are refused",
        arguments: ["", "#x", "a:b", "a\nb", "a\u{7F}", String(repeating: "x", count: 1_025)])
    func names(user: String) {
        #expect(PasswordTable.problem(withUser: user) != nil)
        #expect(PasswordTable.problem(withUser: "tenant/alice") == nil)
    }
}
