import Glibc
import Simulation

// simulate                 runs 20 seeds
// simulate SEED [COUNT]    runs COUNT seeds from SEED on (1 unless told); the same seed does the
//                          same again

let arguments = CommandLine.arguments.dropFirst().compactMap(UInt64.init)
let first = arguments.first ?? 1
let count = arguments.dropFirst().first ?? (arguments.isEmpty ? 20 : 1)
var failed = 0

func line(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
}

for seed in first..<(first + count) {
    line("simulate \(seed)")
    let report = SimulationRun(seed: seed).run()
    line(report.text)
    if !report.failures.isEmpty { failed += 1 }
}
line("\(count) runs, \(failed) failed")
exit(failed == 0 ? 0 : 1)
