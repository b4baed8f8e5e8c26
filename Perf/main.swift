// perf            lists the scenarios
// perf NAME       measures the scenarios whose names begin with NAME
// perf all        measures every scenario
// perf check      measures every scenario and fails above a ceiling

PerfProgram.run(Array(CommandLine.arguments.dropFirst()))
