import Base
import Policy

/// What of a machine will hurt a node, with what to change: said at start, never a reason to
/// refuse it.
package enum Preflight {
    /// Files and sockets that a node has open besides its clients.
    package static let descriptorReserve = 256
    /// With fewer, the default limits of a shell or a container were not thought about.
    package static let descriptorsUsual = 65_536
    package static let memoryMin: UInt64 = 256 << 20
    package static let socketMemoryMin: UInt64 = 64 << 20
    package static let diskFreeMin: UInt64 = 1 << 30
    /// The start of 2026: no clock of a machine that this runs on is earlier.
    package static let wallTimeMin = WallTime(milliseconds: 1_767_225_600_000)

    /// One sentence for each thing that should be changed.
    package static func findings(
        _ facts: HostFacts, _ configuration: Configuration
    ) -> [String] {
        [
            descriptors(facts, configuration), listenQueue(facts, configuration),
            memory(facts), disk(facts, configuration), clock(facts),
        ].flatMap { $0 }
    }

    private static func descriptors(
        _ facts: HostFacts, _ configuration: Configuration
    ) -> [String] {
        let connections = configuration.limits.connections
        let wanted = connections > 0 ? connections + descriptorReserve : descriptorsUsual
        guard facts.descriptorLimit < UInt64(wanted) else { return [] }
        let room = max(0, Int(clamping: facts.descriptorLimit) - descriptorReserve)
        return [
            "at most \(facts.descriptorLimit) files may be open, so about \(room) clients fit; "
                + "raise it to \(wanted) or more: LimitNOFILE= of the systemd unit, "
                + "--ulimit nofile= of the container, or ulimit -Hn of the shell"
        ]
    }

    private static func listenQueue(
        _ facts: HostFacts, _ configuration: Configuration
    ) -> [String] {
        let wanted = configuration.listeners.map(\.backlog).max() ?? 0
        guard let most = facts.listenQueueMax, most < wanted else { return [] }
        return [
            "the kernel keeps \(most) connections waiting for a listener, \(wanted) are wanted: "
                + "sysctl -w net.core.somaxconn=\(wanted)"
        ]
    }

    private static func memory(_ facts: HostFacts) -> [String] {
        var findings: [String] = []
        if let memory = facts.memory, memory < memoryMin {
            findings.append(
                "there are \(memory >> 20) MiB of memory; give the machine or the control group "
                    + "\(memoryMin >> 20) MiB or more")
        }
        if let memory = facts.socketMemory, memory < socketMemoryMin {
            findings.append(
                "the kernel gives all TCP sockets together \(memory >> 20) MiB: "
                    + "raise the last number of sysctl net.ipv4.tcp_mem (in pages)")
        }
        return findings
    }

    private static func disk(_ facts: HostFacts, _ configuration: Configuration) -> [String] {
        guard let free = facts.diskFree, free < diskFreeMin else { return [] }
        return [
            "\(free >> 20) MiB are free at \(configuration.dataDirectory): free some, or choose "
                + "another dataDirectory"
        ]
    }

    private static func clock(_ facts: HostFacts) -> [String] {
        var findings: [String] = []
        if facts.wallTime < wallTimeMin {
            findings.append(
                "the clock stands before 2026: certificates will not hold; set it, and start "
                    + "chrony or systemd-timesyncd")
        }
        let slow = ["hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"]
        if let source = facts.clockSource, slow.contains(source) {
            findings.append(
                "the kernel reads the time from '\(source)', which is slow: prefer tsc or the "
                    + "hypervisor's clock (/sys/devices/system/clocksource/clocksource0)")
        }
        return findings
    }
}
