import Base
import PerfReport

/// Where the memory of processes lies, as the kernel names it: heap, other anonymous memory,
/// stacks, files.
///
/// What the kernel keeps for sockets belongs to no process: it is read from `/proc/net/sockstat`,
/// for all sockets of the machine, ours included.
package enum MemoryOwners {
    package static func read(_ pids: [Int32]) -> [String: Int] {
        var owners: [String: Int] = [:]
        for pid in pids {
            guard let text = ProcFile.text("/proc/\(pid)/smaps") else { continue }
            for (owner, bytes) in parse(text) { owners[owner, default: 0] += bytes }
        }
        if let text = ProcFile.text("/proc/net/sockstat"), let pages = socketPages(text) {
            owners["sockets of this machine (kernel)"] = pages * 4096
        }
        return owners
    }

    package static func parse(_ smaps: String) -> [String: Int] {
        var owners: [String: Int] = [:]
        var owner = ""
        for line in smaps.split(separator: "\n") {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            guard let first = fields.first else { continue }
            if first.contains("-"), !first.hasSuffix(":") {
                owner = name(fields.count > 5 ? String(fields[5]) : "")
            } else if first == "Pss:", fields.count > 1, let kilobytes = Int(fields[1]) {
                owners[owner, default: 0] += kilobytes * 1024
            }
        }
        return owners
    }

    private static func name(_ mapping: String) -> String {
        if mapping == "[heap]" { return "heap" }
        if mapping.hasPrefix("[stack") { return "stack" }
        if mapping.hasPrefix("[") { return "kernel's own" }
        return mapping.isEmpty ? "mapped memory" : "files"
    }

    /// `TCP: inuse 9 orphan 0 tw 0 alloc 12 mem 3`
    package static func socketPages(_ sockstat: String) -> Int? {
        guard let line = sockstat.split(separator: "\n").first(where: { $0.hasPrefix("TCP:") })
        else { return nil }
        let fields = line.split(separator: " ")
        guard let place = fields.firstIndex(of: "mem"), place + 1 < fields.count else {
            return nil
        }
        return Int(fields[place + 1])
    }

    package static func growth(from before: [String: Int], to after: [String: Int]) -> [OwnerBytes]
    {
        after.map { OwnerBytes(owner: $0.key, bytes: $0.value - (before[$0.key] ?? 0)) }
            .sorted { ($1.bytes, $0.owner) < ($0.bytes, $1.owner) }
    }
}

/// A file of the kernel, read to its end: its size is not known before.
enum ProcFile {
    static func text(_ path: String) -> String? {
        (try? FileBytes.read(path)).map { String(decoding: $0, as: UTF8.self) }
    }
}
