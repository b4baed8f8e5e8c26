import Foundation
import Glibc

/// The machine a run was made on: what changes figures without anybody having touched the broker.
package struct MachineFacts: Sendable, Equatable, Codable {
    package var kernel = ""
    package var cpuModel = ""
    /// Cores this process may run on.
    package var cpuCount = 0
    package var memoryBytes: Int?
    package var cpuGovernor: String?
    /// Cores' worth of time that the control group grants; nil without a limit.
    package var cpuQuotaCores: Double?
    package var openFilesMax: Int?
    /// By name, as `sysctl` prints them.
    package var sysctls: [String: String] = [:]

    package init() {}

    private enum CodingKeys: String, CodingKey {
        case kernel
        case cpuModel = "cpu_model"
        case cpuCount = "cpu_count"
        case memoryBytes = "memory_bytes"
        case cpuGovernor = "cpu_governor"
        case cpuQuotaCores = "cpu_quota_cores"
        case openFilesMax = "open_files_max"
        case sysctls
    }
}

extension MachineFacts {
    /// Settings of the kernel that decide how many connections fit and how fast bytes move.
    package static let sysctlNames = [
        "fs.file-max", "fs.nr_open", "kernel.io_uring_disabled", "kernel.perf_event_paranoid",
        "net.core.busy_poll", "net.core.netdev_max_backlog", "net.core.rmem_max",
        "net.core.somaxconn", "net.core.wmem_max", "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_congestion_control", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_mem",
        "net.ipv4.tcp_rmem", "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_wmem",
        "net.netfilter.nf_conntrack_max", "vm.overcommit_memory", "vm.swappiness",
    ]

    /// This machine. What cannot be read is left out. `root` is for tests.
    package static func gather(root: String = "") -> MachineFacts {
        var facts = MachineFacts()
        let kernel = ["ostype", "osrelease", "version"].compactMap {
            word("\(root)/proc/sys/kernel/\($0)")
        }
        facts.kernel = kernel.joined(separator: " ")
        let cpu = field("model name", of: "\(root)/proc/cpuinfo")
        facts.cpuModel = cpu ?? field("CPU part", of: "\(root)/proc/cpuinfo") ?? ""
        facts.cpuCount = ProcessInfo.processInfo.activeProcessorCount
        facts.memoryBytes = field("MemTotal", of: "\(root)/proc/meminfo").flatMap {
            Int($0.split(separator: " ")[0]).map { $0 << 10 }
        }
        facts.cpuGovernor = word(
            "\(root)/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        facts.cpuQuotaCores = quota("\(root)/sys/fs/cgroup/cpu.max")
        facts.openFilesMax = openFilesMax()
        for name in sysctlNames {
            let path = name.split(separator: ".").joined(separator: "/")
            facts.sysctls[name] = word("\(root)/proc/sys/\(path)")
        }
        return facts
    }

    private static func openFilesMax() -> Int? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return nil
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// `cpu.max` holds `max 100000` or microseconds of time and of the period.
    private static func quota(_ path: String) -> Double? {
        let parts = word(path)?.split(separator: " ") ?? []
        guard parts.count == 2, let time = Double(parts[0]), let period = Double(parts[1]),
            period > 0
        else { return nil }
        return time / period
    }

    /// A small file in one line.
    private static func word(_ path: String) -> String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        let words = text.split(whereSeparator: \.isWhitespace)
        return words.isEmpty ? nil : words.joined(separator: " ")
    }

    private static func field(_ name: String, of path: String) -> String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":"),
                line[..<colon].trimmingCharacters(in: .whitespaces) == name
            else { continue }
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            return value.isEmpty ? nil : value
        }
        return nil
    }
}
