/// Every scenario that `apus-bench` knows. A module adds a file with its rows and names it here.
enum ScenarioTable {
    static let all: [Scenario] =
        CodecScenarios.all + TopicScenarios.all + SessionScenarios.all + WorkerScenarios.all
        + DistScenarios.all + RangeScenarios.all + PolicyScenarios.all + LoopScenarios.all
}
