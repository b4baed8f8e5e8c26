import Base
import Glibc

/// The command line of `fuzz`.
enum FuzzProgram {
    /// How long a target is fed unless the command says otherwise.
    private static let defaultSeconds = 60

    static func run(_ arguments: [String]) {
        guard let name = arguments.first else {
            line("fuzz TARGET [SEED] [SECONDS]")
            for target in FuzzTable.all { line("  \(target.name): \(target.what)") }
            return
        }
        guard let target = FuzzTable.all.first(where: { $0.name == name }) else {
            line("no target \(name): \(FuzzTable.all.map(\.name).joined(separator: ", "))")
            exit(2)
        }
        let seed = arguments.dropFirst().first.flatMap(UInt64.init) ?? freshSeed()
        let seconds = arguments.dropFirst(2).first.flatMap(Int.init) ?? defaultSeconds
        line("fuzz \(name) \(seed) \(seconds)")
        feed(target, seed, until: now() + seconds)
    }

    private static func feed(_ target: FuzzTarget, _ seed: UInt64, until end: Int) {
        let slice = 10_000
        var number = 0
        while now() < end {
            if let found = target.feed(seed: seed, first: number, count: slice) {
                line("input \(found.number): \(found.failure)")
                line("again: swift run -c release fuzz \(target.name) \(seed)")
                exit(1)
            }
            number += slice
        }
        line("\(number) inputs, nothing found")
    }

    private static func freshSeed() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next() >> 16
    }

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec
    }

    private static func line(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }
}
