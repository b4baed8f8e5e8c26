import CLinux

/// Why a file could not be read or written. Names the file and what the system said.
package struct FileError: Error, Equatable, CustomStringConvertible {
    package var path: String
    package var problem: String

    package init(path: String, problem: String) {
        self.path = path
        self.problem = problem
    }

    init(path: String, doing what: String, code: Int32) {
        self.init(path: path, problem: "cannot \(what): \(String(cString: strerror(code)))")
    }

    package var description: String { "\(path): \(problem)" }
}

/// Small whole files: configuration, passwords, rules, keys. Blocking: never from a loop's turn
/// while it serves.
package enum FileBytes {
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Reads a whole file of at most `limit` bytes.
    package static func read(
        _ path: String, limit: Int = 64 << 20
    ) throws(FileError) -> [UInt8] {
        let descriptor = apus_file_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else {
            throw FileError(path: path, doing: "open", code: apus_file_error())
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = CLinux.read(descriptor, &block, block.count)
            if count == 0 { return bytes }
            if count < 0 {
                if apus_file_error() == EINTR { continue }
                throw FileError(path: path, doing: "read", code: apus_file_error())
            }
            guard bytes.count + count <= limit else {
                throw FileError(path: path, problem: "is larger than \(limit) bytes")
            }
            bytes += block[..<count]
        }
    }

    /// Replaces a file at once: readers see the old contents or the new, also after a power cut.
    /// `mode` are its permissions; what holds secrets is 0600.
    package static func replace(
        _ path: String, with bytes: [UInt8], mode: UInt32 = 0o600
    ) throws(FileError) {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = apus_file_open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode)
        guard descriptor >= 0 else {
            throw FileError(path: temporary, doing: "create", code: apus_file_error())
        }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0 && apus_file_error() == EINTR { continue }
            guard count > 0 else {
                let code = apus_file_error()
                close(descriptor)
                unlink(temporary)
                throw FileError(path: temporary, doing: "write", code: code)
            }
            written += count
        }
        guard fsync(descriptor) == 0, close(descriptor) == 0, rename(temporary, path) == 0 else {
            let code = apus_file_error()
            unlink(temporary)
            throw FileError(path: path, doing: "replace", code: code)
        }
        syncDirectory(of: path)
    }

    /// The new name survives a power cut only if its directory is synced too.
    private static func syncDirectory(of path: String) {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = apus_file_open(directory, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
