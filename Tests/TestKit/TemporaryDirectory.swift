import Foundation

/// A directory of its own for one test, removed with everything in it when the owner lets go.
package final class TemporaryDirectory: Sendable {
    package let url: URL

    package var path: String { url.path }

    package init(_ purpose: String = "test") throws {
        let name =
            "apus-\(purpose)-\(ProcessInfo.processInfo.processIdentifier)-\(UUID().uuidString)"
        url = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: url, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// Path of a file inside; nothing is created.
    package func file(_ name: String) -> String { url.appendingPathComponent(name).path }

    /// Writes a file inside and gives its path.
    @discardableResult
    package func write(_ text: String, to name: String) throws -> String {
        let target = url.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: target)
        return target.path
    }
}
