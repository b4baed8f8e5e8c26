import Foundation
import TestKit
import Testing

@Suite("TestKit")
struct TestKitTests {
    @Test("a series repeats itself and differs from file to file")
    func seriesRepeats() {
        #expect(Seed.series(5, test: "A/a.swift") == Seed.series(5, test: "A/a.swift"))
        #expect(
            Seed.series(5, test: "A/a.swift").map(\.value)
                != Seed.series(5, test: "A/b.swift").map(\.value))
    }

    @Test("a seed says how to replay it")
    func seedDescribesReplay() {
        let seed = Seed(77, test: "KVTests/RangeTests.swift")
        #expect(seed.description == "seed 77 (APUS_SEED=77 swift test --filter KVTests)")
    }

    @Test("a temporary directory goes with its owner")
    func directoryIsRemoved() throws {
        var directory: TemporaryDirectory? = try TemporaryDirectory()
        let path = try #require(directory).write("text", to: "a/b.txt")
        #expect(FileManager.default.fileExists(atPath: path))
        directory = nil
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test("a child's output and exit status arrive")
    func childPrintsAndExits() throws {
        let child = try ChildProcess(
            path: "/bin/sh", arguments: ["-c", "echo \"$WORD\"; exit 3"],
            environment: ["WORD": "hello"])
        #expect(child.waitForOutput("hello\n", within: .seconds(20)))
        #expect(child.waitForExit(within: .seconds(20)) == 3)
    }

    @Test("a child that runs on is reported after the bound and ended on request")
    func childIsTerminated() throws {
        let child = try ChildProcess(path: "/bin/sleep", arguments: ["1000"])
        #expect(child.waitForExit(within: .milliseconds(1)) == nil)
        #expect(child.terminate() == -15)
        #expect(!child.isRunning)
    }

    @Test("a file that a child writes is awaited")
    func childWritesFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("ready")
        let child = try ChildProcess(
            path: "/bin/sh", arguments: ["-c", "echo '{}' > '\(path)'; exec sleep 1000"])
        #expect(child.waitForFile(path, within: .seconds(20)) == "{}\n")
        #expect(child.waitForFile(directory.file("other"), within: .milliseconds(1)) == nil)
        child.send(signal: 9)
        #expect(child.waitForExit(within: .seconds(20)) == -9)
    }

    @Test("files beside the checkout are found or explained")
    func sharedFiles() {
        #expect(SharedFiles.require("no-such-folder-\(UUID().uuidString)") == nil)
        #expect(!SharedFiles.has("no-such-folder-\(UUID().uuidString)"))
    }
}
