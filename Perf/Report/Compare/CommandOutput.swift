import Glibc

/// What a short command prints, such as a broker asked for its version.
package enum CommandOutput {
    private static let bytesMax = 64 << 10
    private static let millisecondsMax = 5_000

    /// Everything printed to both outputs; nil if the command cannot be started or takes too long.
    /// Its exit status is not asked: some programs fail when asked for their version.
    package static func text(of words: [String]) -> String? {
        run(words).map(\.text)
    }

    /// Output and exit status.
    static func run(_ words: [String]) -> (text: String, status: Int32)? {
        var ends: [Int32] = [-1, -1]
        guard LocalPair.open(&ends) else { return nil }
        defer { close(ends[0]) }
        let process: SpawnedProcess?
        process = try? SpawnedProcess(words, output: ends[1])
        close(ends[1])
        guard let process else { return nil }
        let deadline = MonotonicClock.milliseconds() + millisecondsMax
        var collected: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while collected.count < bytesMax {
            var entry = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            let left = deadline - MonotonicClock.milliseconds()
            guard left > 0, poll(&entry, 1, Int32(left)) > 0 else { break }
            let count = read(ends[0], &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            collected += buffer[..<count]
        }
        let left = max(0, deadline - MonotonicClock.milliseconds())
        let status = process.waitForExit(withinMilliseconds: collected.count < bytesMax ? left : 0)
        guard let status else { return nil }
        return (String(decoding: collected, as: UTF8.self), status)
    }

    /// The first line that says something, without the spaces around it.
    package static func firstLine(of words: [String]) -> String? {
        let lines = text(of: words)?.split(whereSeparator: \.isNewline) ?? []
        return lines.lazy.map { $0.split(separator: " ").joined(separator: " ") }
            .first { !$0.isEmpty }
    }
}

/// Which commit a program was built from.
package enum SourceCommit {
    /// The commit of the checkout in which a folder lies, `-dirty` at its end with changes; nil
    /// outside of a checkout, or without git.
    package static func find(in folder: String) -> String? {
        let words = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12"]
        guard let (text, status) = CommandOutput.run(words), status == 0 else { return nil }
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init)
        return line.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The checkout that this program lies in (`.build` is inside of it).
    package static func ofThisProgram() -> String? {
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink("/proc/self/exe", &path, path.count - 1)
        guard count > 0 else { return nil }
        let program = String(decoding: path[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard let slash = program.lastIndex(of: "/") else { return nil }
        return find(in: String(program[...slash]))
    }
}

/// Two descriptors that speak to each other and that no other child gets: a pipe would be without
/// that mark for a moment.
enum LocalPair {
    static func open(_ ends: inout [Int32]) -> Bool {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        return socketpair(AF_UNIX, kind, 0, &ends) == 0
    }
}
