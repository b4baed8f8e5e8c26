import Foundation

/// Files that lie beside the checkout, in `../shared`, and are not part of the repository.
///
/// `APUS_SHARED` names another place. Tests that need them are skipped elsewhere, with the reason:
///
///     @Test("…", .enabled(if: SharedFiles.has("scripts"), "needs ../shared/scripts"))
package enum SharedFiles {
    /// The file or folder, or nil (with a printed reason) if it is not there.
    package static func require(_ path: String) -> URL? {
        let url = folder.appendingPathComponent(path)
        if FileManager.default.fileExists(atPath: url.path) { return url }
        print("skipped: \(url.path) does not exist")
        return nil
    }

    package static func has(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: folder.appendingPathComponent(path).path)
    }

    private static let folder: URL = {
        if let path = ProcessInfo.processInfo.environment["APUS_SHARED"] {
            return URL(fileURLWithPath: path)
        }
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url.appendingPathComponent("shared")
    }()
}
