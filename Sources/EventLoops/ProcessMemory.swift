import CLinux

/// What memory this process holds, and what it may hold, as the kernel says.
package enum ProcessMemory {
    /// Bytes of the process that lie in memory; nil if the kernel cannot be asked now.
    package static var resident: Int? {
        guard let text = System.text(ofFile: "/proc/self/statm") else { return nil }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? Int(fields[1]).map { $0 * pageSize } : nil
    }

    /// Bytes of the machine, or of the process's control group if that has fewer.
    package static var available: Int? {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let machine = pages > 0 ? pages * pageSize : nil
        let group = System.text(ofFile: "/sys/fs/cgroup/memory.max").flatMap {
            Int($0.prefix { $0 != "\n" })
        }
        return [machine, group].compactMap { $0 }.min()
    }

    /// Gives what the process has freed back to the kernel, which the C library does not do by
    /// itself. Takes place on another thread; loops may wait for it when they allocate.
    package static func trim() { apus_trim_memory() }

    private static var pageSize: Int { sysconf(Int32(_SC_PAGESIZE)) }
}
