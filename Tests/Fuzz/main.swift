// fuzz                       lists the targets
// fuzz TARGET [SEED] [SECONDS]   feeds it mutated input; the same seed does the same again

FuzzProgram.run(Array(CommandLine.arguments.dropFirst()))
