import Base

/// How many processors a control group lets a process use.
///
/// Version 2: `cpu.max` holds "quota period" or "max period"; the smallest quota between the
/// process's group and the root counts. Version 1: two files with the same numbers.
package enum ProcessorQuota {
    /// Whole processors, rounded up; nil without a quota.
    package static var ofThisProcess: Int? {
        let groups = System.text(ofFile: "/proc/self/cgroup") ?? ""
        return smallest(in: candidatePaths(groups).map { System.text(ofFile: $0) })
            ?? version1(
                quota: System.text(ofFile: "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
                period: System.text(ofFile: "/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
    }

    /// The `cpu.max` files from the process's own group up to the root.
    package static func candidatePaths(_ groups: String) -> [String] {
        let lines = groups.split(separator: "\n")
        guard let own = lines.first(where: { $0.hasPrefix("0::") }) else { return [] }
        var parts = own.dropFirst(3).split(separator: "/")
        var paths: [String] = []
        while true {
            let group = parts.map { "/" + $0 }.joined()
            paths.append("/sys/fs/cgroup\(group)/cpu.max")
            if parts.isEmpty { return paths }
            parts.removeLast()
        }
    }

    package static func smallest(in files: [String?]) -> Int? {
        files.compactMap { $0.flatMap(version2) }.min()
    }

    package static func version2(_ text: String) -> Int? {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let quota = Int(words[0]), let period = Int(words[1]) else {
            return nil
        }
        return processors(quota, period)
    }

    package static func version1(quota: String?, period: String?) -> Int? {
        guard let quota = quota?.split(whereSeparator: \.isWhitespace).first.flatMap({ Int($0) }),
            let period = period?.split(whereSeparator: \.isWhitespace).first.flatMap({ Int($0) })
        else { return nil }
        return processors(quota, period)
    }

    private static func processors(_ quota: Int, _ period: Int) -> Int? {
        guard quota > 0, period > 0 else { return nil }
        return max((quota + period - 1) / period, 1)
    }
}
