// apus-bench                   lists the scenarios
// apus-bench NAME              measures the scenarios whose names begin with NAME
// apus-bench all               measures every scenario
// apus-bench instructions NAME counts instructions of these scenarios with callgrind
// apus-bench check [TABLE]     holds every scenario to its ceilings
// apus-bench baselines [TABLE] writes what is measured as the new ceilings
// apus-bench count NAME N      does N operations once, for callgrind by hand

BenchProgram.run(Array(CommandLine.arguments.dropFirst()))
