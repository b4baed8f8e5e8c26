import Foundation

/// How a run was set up: what a reader needs to repeat it, and to judge whether two runs may be
/// compared.
package struct RunHead: Sendable, Equatable, Codable {
    /// The newest form that this program writes and reads. It rises when the meaning of a field
    /// changes or a required field is added; optional fields are added without it.
    package static let formatMax = 1

    package var format = formatMax
    /// Runs with one name and different offered rates (or loops) form one curve in a report.
    package var name = ""
    package var scenario = ""
    /// ISO 8601, in UTC.
    package var startedAt = ""
    package var broker = BrokerFacts()
    package var machine = MachineFacts()
    /// Of the checkout that the generator was built from; `-dirty` at its end with changes.
    package var commit: String?
    /// The command line of apus-perf, without the program's name.
    package var options: [String] = []
    /// `3.1`, `3.1.1` or `5.0`.
    package var protocolVersion = ""
    /// `tcp`, `tls`, `ws` or `wss`.
    package var transport = "tcp"
    package var qos = 0
    package var payloadBytes = 0
    /// Messages to be sent each second by all publishers together; nil: as many as go.
    package var offeredPerSecond: Double?
    package var publishers: Int?
    package var subscribers: Int?
    package var generatorLoops: Int?
    package var seed: UInt64?
    package var warmUpSeconds: Double?

    package init() {}

    private enum CodingKeys: String, CodingKey {
        case format, name, scenario
        case startedAt = "started_at"
        case broker, machine, commit, options
        case protocolVersion = "protocol_version"
        case transport, qos
        case payloadBytes = "payload_bytes"
        case offeredPerSecond = "offered_per_second"
        case publishers, subscribers
        case generatorLoops = "generator_loops"
        case seed
        case warmUpSeconds = "warm_up_seconds"
    }
}

/// The broker under test, as far as it is known.
package struct BrokerFacts: Sendable, Equatable, Codable {
    /// `apus`, `mosquitto`…: the colour of a curve follows it.
    package var name = ""
    package var version: String?
    /// Its configuration file or its command line.
    package var configuration: String?
    package var address: String?
    package var pid: Int32?
    /// Loops (threads) that serve clients: the horizontal axis of the scaling plot.
    package var loops: Int?
    package var poller: String?

    package init() {}

    private static let commandLineMax = 4_096

    /// What the system knows of a broker that somebody else started: its name and command line.
    /// What is said already stays.
    package mutating func describe(process pid: Int32) {
        func read(_ file: String) -> String? {
            guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/\(file)") else {
                return nil
            }
            let words = bytes.prefix(Self.commandLineMax).split { $0 == 0 || $0 == 0x0A }
            let text = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
            return text.isEmpty ? nil : text
        }
        self.pid = pid
        if name.isEmpty { name = read("comm") ?? "" }
        if configuration == nil { configuration = read("cmdline") }
    }
}
