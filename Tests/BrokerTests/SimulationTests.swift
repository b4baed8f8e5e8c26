import Simulation
import TestKit
import Testing

@Suite("One node under clients that come and go")
struct SimulationTests {
    @Test("promises hold while everything goes wrong", arguments: Seed.series(3))
    func underFaults(seed: Seed) {
        var options = SimulationOptions()
        options.steps = 500
        let report = SimulationRun(seed: seed.value, options).run()
        #expect(report.failures == [], "\(report.text)")
    }

    @Test("promises hold while nothing goes wrong", arguments: Seed.series(1))
    func calm(seed: Seed) {
        var options = SimulationOptions.calm
        options.steps = 300
        let report = SimulationRun(seed: seed.value, options).run()
        #expect(report.failures == [], "\(report.text)")
    }

    @Test("the same seed does the same again")
    func repeats() {
        var options = SimulationOptions()
        options.steps = 120
        let runs = (0..<2).map { _ in SimulationRun(seed: 77, options).run().text }
        #expect(runs[0] == runs[1])
    }
}
