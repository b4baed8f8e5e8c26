import Base
import Broker
import EventLoops
import Foundation

/// Reads what the preflight judges. Whatever cannot be read is left out.
enum HostReader {
    /// `directory` exists.
    static func read(directory: String, descriptorLimit: UInt64) -> HostFacts {
        var facts = HostFacts(descriptorLimit: descriptorLimit, wallTime: Clocks.wall)
        facts.listenQueueMax = text("/proc/sys/net/core/somaxconn").flatMap { Int($0) }
        if let pages = text("/proc/sys/net/ipv4/tcp_mem")?.split(whereSeparator: \.isWhitespace),
            let most = pages.last.flatMap({ UInt64($0) })
        {
            facts.socketMemory = most &* UInt64(sysconf(Int32(_SC_PAGESIZE)))
        }
        facts.memory = memory()
        var disk = statvfs()
        if statvfs(directory, &disk) == 0 {
            facts.diskFree = UInt64(disk.f_bavail) &* UInt64(disk.f_frsize)
        }
        facts.clockSource = text(
            "/sys/devices/system/clocksource/clocksource0/current_clocksource")
        return facts
    }

    private static func memory() -> UInt64? {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let machine = pages > 0 ? UInt64(pages) &* UInt64(sysconf(Int32(_SC_PAGESIZE))) : nil
        let group = text("/sys/fs/cgroup/memory.max").flatMap { UInt64($0) }
        return [machine, group].compactMap { $0 }.min()
    }

    /// A small file of the kernel, without the line break at its end.
    private static func text(_ path: String) -> String? {
        guard let bytes = try? FileBytes.read(path, limit: 64 << 10) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
