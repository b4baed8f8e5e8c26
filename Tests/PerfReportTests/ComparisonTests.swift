import Foundation
import Glibc
import PerfReport
import Synchronization
import TestKit
import Testing

/// Brokers here are a few words of Perl that listen and do nothing else.
@Suite(.serialized, .enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/perl")))
struct ComparisonTests {
    static let listen = """
        my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$ARGV[0]", Listen => 9) or die $!; \
        while (my $c = $s->accept) { close $c }
        """

    static func listener(_ name: String, before: String = "") -> BrokerSpec {
        var spec = BrokerSpec(
            name: name,
            start: ["/usr/bin/perl", "-MIO::Socket::INET", "-e", before + listen, "{port}"])
        spec.endSeconds = 5
        return spec
    }

    static func comparison(
        _ brokers: [BrokerSpec], _ directory: TemporaryDirectory, rounds: Int = 2,
        order: Comparison.Order = .mirrored, keepsBrokers: Bool = false
    ) -> Comparison {
        Comparison(
            brokers: brokers,
            options: .init(
                rounds: rounds, order: order, keepsBrokers: keepsBrokers,
                directory: directory.path))
    }

    /// Gone, or dead and waiting for a parent that is not this program.
    static func isGone(_ pid: Int32) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else {
            return true
        }
        return text.split(separator: ")").last?.hasPrefix(" Z") == true
    }

    static func contents(_ directory: TemporaryDirectory) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? ["?"]
    }

    @Test(arguments: [
        (Comparison.Order.alternating, [0, 1, 2, 0, 1, 2, 0, 1, 2]),
        (.mirrored, [0, 1, 2, 2, 1, 0, 0, 1, 2]),
    ])
    func `brokers take turns`(order: Comparison.Order, turns: [Int]) throws {
        let directory = try TemporaryDirectory()
        let brokers = ["a", "b", "c"].map { Self.listener($0) }
        let comparison = Self.comparison(brokers, directory, rounds: 3, order: order)
        #expect(comparison.turns == turns)
    }

    @Test func `each run has a broker of its own, ready, and nothing is left of it`() throws {
        let directory = try TemporaryDirectory()
        var second = Self.listener("second")
        second.files = ["conf": "port {port}\nname {name}\n"]
        second.environment = ["WHERE": "{data}"]
        second.version = ["/bin/echo", "", "version 7"]
        second.loops = 3
        var seen: [(name: String, pid: Int32, directory: String)] = []
        let records = try Self.comparison([Self.listener("first"), second], directory)
            .run(signals: [], onSignal: { _ in }) { broker, number in
                #expect(number == seen.count + 1)
                #expect(broker.isRunning && !seen.contains { $0.pid == broker.pid })
                let client = LoopbackClient(port: broker.port)
                withExtendedLifetime(client) {}
                if broker.spec.name == "second" {
                    let text = try String(
                        contentsOfFile: broker.directory + "/conf", encoding: .utf8)
                    #expect(text == "port \(broker.port)\nname second\n")
                    let environment = try String(
                        contentsOfFile: "/proc/\(broker.pid)/environ", encoding: .utf8)
                    #expect(environment.contains("WHERE=\(broker.directory)\0"))
                }
                seen.append((broker.spec.name, broker.pid, broker.directory))
                return RunRecord(head: RunHead())
            }
        #expect(seen.map(\.name) == ["first", "second", "second", "first"])
        #expect(records.map(\.head.broker.name) == seen.map(\.name))
        #expect(records.map(\.head.broker.pid) == seen.map(\.pid))
        #expect(records[1].head.broker.version == "version 7")
        #expect(records[1].head.broker.loops == 3)
        #expect(records[1].head.broker.configuration?.contains("port {port}") == true)
        #expect(seen.allSatisfy { Self.isGone($0.pid) })
        #expect(Self.contents(directory) == [])
    }

    @Test func `brokers can be kept for all rounds`() throws {
        let directory = try TemporaryDirectory()
        var pids: [Int32] = []
        _ = try Self.comparison([Self.listener("a")], directory, rounds: 3, keepsBrokers: true)
            .run(signals: [], onSignal: { _ in }) { broker, _ in
                pids.append(broker.pid)
                return RunRecord(head: RunHead())
            }
        #expect(pids.count == 3 && Set(pids).count == 1)
        #expect(Self.isGone(pids[0]) && Self.contents(directory) == [])
    }

    struct Trouble: Error {}

    @Test func `a run that fails leaves no broker`() throws {
        let directory = try TemporaryDirectory()
        var pid: Int32 = 0
        #expect(throws: Trouble.self) {
            try Self.comparison([Self.listener("a")], directory, keepsBrokers: true)
                .run(signals: [], onSignal: { _ in }) { broker, _ in
                    pid = broker.pid
                    throw Trouble()
                }
        }
        #expect(pid > 0 && Self.isGone(pid) && Self.contents(directory) == [])
    }

    @Test func `a broker that ends during its run is told with what it said`() throws {
        let directory = try TemporaryDirectory()
        let error = #expect(throws: ComparisonError.self) {
            try Self.comparison([Self.listener("a", before: "print STDERR 'ouch';")], directory)
                .run(signals: [], onSignal: { _ in }) { broker, _ in
                    kill(broker.pid, SIGKILL)
                    while broker.isRunning { poll(nil, 0, 5) }
                    return RunRecord(head: RunHead())
                }
        }
        #expect(error?.description == "a: ended during run 1\nouch")
        #expect(Self.contents(directory) == [])
    }

    @Test(arguments: [
        (
            ["/bin/sh", "-c", "echo no such thing; exit 3", "{port}"], 10.0,
            "a: ended before it was ready (status 3); it said:\nno such thing"
        ),
        (
            ["/bin/sh", "-c", "echo waiting; exec sleep 1000", "{port}"], 0.2,
            "a: was not ready within 0.2 seconds; it said:\nwaiting"
        ),
        (
            ["/nowhere/broker", "{port}"], 10.0,
            "a: cannot start /nowhere/broker: No such file or directory"
        ),
    ])
    func `a broker that is never ready is told with what it said`(
        start: [String], seconds: Double, words: String
    ) throws {
        let directory = try TemporaryDirectory()
        var spec = BrokerSpec(name: "a", start: start)
        spec.readySeconds = seconds
        let error = #expect(throws: ComparisonError.self) {
            try StartedBroker.start(spec, in: directory.path)
        }
        #expect(error?.description == words)
        #expect(Self.contents(directory) == [])
    }

    @Test func `a broker that does not want to end, and what it started, is killed`() throws {
        let directory = try TemporaryDirectory()
        var spec = Self.listener(
            "a", before: "$SIG{TERM} = 'IGNORE'; $| = 1; print fork() || do { sleep 1000; 0 };")
        spec.endSeconds = 0.1
        let broker = try StartedBroker.start(spec, in: directory.path)
        let child = try #require(Int32(broker.log))
        #expect(!Self.isGone(child))
        broker.end()
        #expect(!broker.isRunning && Self.isGone(broker.pid) && Self.isGone(child))
        broker.end()
        #expect(Self.contents(directory) == [])
    }

    @Test func `a signal ends the brokers before it ends the program`() throws {
        let directory = try TemporaryDirectory()
        let heard = Mutex<(signal: Int32, left: [String])?>(nil)
        var pid: Int32 = 0
        #expect(throws: ComparisonError.self) {
            try Self.comparison([Self.listener("a")], directory).run(
                signals: [SIGUSR2],
                onSignal: { number in heard.withLock { $0 = (number, Self.contents(directory)) } }
            ) { broker, _ in
                pid = broker.pid
                kill(getpid(), SIGUSR2)
                let deadline = ContinuousClock.now + .seconds(20)
                while heard.withLock({ $0 == nil }), ContinuousClock.now < deadline {
                    poll(nil, 0, 5)
                }
                return RunRecord(head: RunHead())
            }
        }
        #expect(heard.withLock { $0?.signal } == SIGUSR2)
        #expect(heard.withLock { $0?.left } == [])
        #expect(pid > 0 && Self.isGone(pid))
        var now = sigaction()
        sigaction(SIGUSR2, nil, &now)
        #expect(unsafeBitCast(now.__sigaction_handler.sa_handler, to: Int.self) == 0)
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/usr/sbin/mosquitto")))
    func `mosquitto starts as the example says`() throws {
        let file = try ComparisonFile.read(path: ComparisonFileTests.examplePath)
        let spec = try #require(file.brokers.first { $0.name == "mosquitto" })
        let directory = try TemporaryDirectory()
        let broker = try StartedBroker.start(spec, in: directory.path)
        #expect(broker.facts.version?.hasPrefix("mosquitto version ") == true)
        broker.end()
        #expect(Self.isGone(broker.pid) && Self.contents(directory) == [])
    }

    @Test func `a broker inherits no descriptor`() throws {
        let descriptor = open("/dev/null", O_RDONLY)
        defer { close(descriptor) }
        let words = ["/bin/sh", "-c", "test -e /proc/$$/fd/\(descriptor) && echo it is there"]
        #expect(CommandOutput.text(of: words) == "")
        #expect(
            CommandOutput.text(of: ["/bin/sh", "-c", "echo; echo ' a  b '; exit 1"]) == "\n a  b \n"
        )
        #expect(CommandOutput.firstLine(of: ["/bin/sh", "-c", "echo; echo ' a  b '"]) == "a b")
        #expect(CommandOutput.text(of: ["/nowhere/program"]) == nil)
    }

    @Test(.enabled(if: CommandOutput.text(of: ["git", "--version"]) != nil))
    func `the commit of a checkout is found, and whether it was changed`() throws {
        let directory = try TemporaryDirectory()
        #expect(SourceCommit.find(in: directory.path) == nil)
        let git = ["git", "-C", directory.path, "-c", "user.name=n", "-c", "user.email=e@e"]
        try directory.write("1", to: "file")
        for words in [["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "m"]] {
            #expect(CommandOutput.text(of: git + words) == "")
        }
        let commit = try #require(SourceCommit.find(in: directory.path))
        #expect(commit.count == 12 && commit.allSatisfy(\.isHexDigit))
        try directory.write("2", to: "file")
        #expect(SourceCommit.find(in: directory.path) == commit + "-dirty")
    }
}
