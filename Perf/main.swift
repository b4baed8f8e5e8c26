// perf            lists the scenarios
// perf NAME       measures the scenarios whose names begin with NAME
// perf all        measures every scenario
// perf count NAME N  does N operations once, for counting instructions under callgrind
// perf check      measures every scenario and fails above a ceiling

PerfProgram.run(Array(CommandLine.arguments.dropFirst()))
