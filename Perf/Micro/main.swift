// apus-bench            lists the scenarios
// apus-bench NAME       measures the scenarios whose names begin with NAME
// apus-bench all        measures every scenario
// apus-bench count NAME N  does N operations once, for counting instructions under callgrind
// apus-bench check      measures every scenario and fails above a ceiling

BenchProgram.run(Array(CommandLine.arguments.dropFirst()))
