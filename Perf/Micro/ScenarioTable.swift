/// Every scenario that `apus-bench` knows. A module adds a file with its rows and names it here.
enum ScenarioTable {
    static var all: [Scenario] {
        CodecScenarios.all + TopicScenarios.all + RangeScenarios.all + PolicyScenarios.all
    }
}
