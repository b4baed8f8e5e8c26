import ArgumentParser
import Base
import Foundation
import PerfLoad
import PerfReport

/// Whether a tenant notices what another one does.
struct FairnessCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fairness",
        abstract: "One tenant's latency while another goes far above its quota, in pairs.",
        discussion: """
            The broker takes the tenant from the user name (tenant/user; of Apus, this is the \
            default) and limits the aggressor: a configuration file with

              tenants: {noisy: {InBoundBandWidth: 250KiB}}

            lets each of its connections bring 250 KiB a second, of which ten times as much is \
            four connections with 40,000 messages of 256 bytes a second: the defaults here. For \
            --aggressor fan-out no quota is needed; both sides need a descriptor for each \
            subscriber. --aggressor none shows what the machine does by itself. The table at the \
            end compares the noisy phases with the quiet ones; at most a tenth more p99 is the \
            goal, and `chance` is that of a sign test. -r is the victim's rate.
            """)
    @OptionGroup var connection: ConnectionArguments
    @OptionGroup var common: RunArguments
    @OptionGroup var traffic: TrafficArguments

    @Option(help: "none, quota or fan-out.")
    var aggressor = Fairness.Aggression.quota

    @Option(help: "Pairs of a quiet and a noisy phase.")
    var pairs = 10

    @Option(help: "Seconds of a phase.")
    var phase = 2.0

    @Option(help: "The aggressor's messages a second.")
    var noisyRate: Double?

    @Option(help: "Bytes of the aggressor's payloads.")
    var noisySize = 256

    @Option(help: "The aggressor's publishers.")
    var noisyPublishers: Int?

    @Option(help: "Subscribers of the fan-out.")
    var noisySubscribers = 10_000

    @Option(help: "Another broker's port for the aggressor: what the machine alone does.")
    var noisyPort: UInt16?

    func run() throws {
        var load = try LoadOptions(connection, common, traffic)
        if load.perSecond == 0 { load.perSecond = 1_000 }
        var options = Fairness.Options()
        options.aggression = aggressor
        options.pairs = max(pairs, 1)
        options.phase = .milliseconds(Int64(max(phase, 0.1) * 1_000))
        options.victims = traffic.publishers ?? options.victims
        options.subscribers = noisySubscribers
        options.aggressors = noisyPublishers ?? (aggressor == .fanOut ? 1 : 4)
        options.noisyPerSecond = noisyRate ?? (aggressor == .fanOut ? 2 : 40_000)
        options.noisyPayloadBytes = noisySize
        if let noisyPort {
            var other = connection
            other.port = noisyPort
            options.noisyAddresses = try other.target().addresses
        }
        let observer = try Observers(common)
        let records = try Fairness(options, load).run(observer).phases
        for record in records {
            observer.head(record.head)
            if let end = record.end { observer.write(end) }
        }
        // The first phase is a quiet one: the base of the ratios.
        let text = "\n" + RatioTable(records).text()
        if !common.quiet { FileHandle.standardOutput.write(Data(text.utf8)) }
        if let end = records.last?.end { try observer.finish(end, load) }
    }
}

extension Fairness.Aggression: ExpressibleByArgument {}
