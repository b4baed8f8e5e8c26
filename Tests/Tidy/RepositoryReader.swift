import Foundation

/// Finds and reads the checkout that these tests were built from.
enum RepositoryReader {
    static let current = read(root: root)

    /// Three folders above this file: the path is the compiler's, so no working directory matters.
    static let root: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url
    }()

    /// What tools write beside the sources and git ignores.
    private static let ignored: Set<String> = [".git", "Package.resolved", "data"]
    private static let textEndings: Set<String> = [
        "swift", "c", "h", "md", "yml", "yaml", "sh", "txt", "json", "js", "html", "css", "py",
        "service", "modulemap", "suppressions", "",
    ]

    static func read(root: URL) -> Repository {
        var repository = Repository(samples: [])
        for name in names(in: root) where !isIgnored(name) {
            let url = root.appendingPathComponent(name)
            if isDirectory(url) {
                let before = repository.files.count
                var isEmpty = true
                read(url, path: name, into: &repository.files, isEmpty: &isEmpty)
                if !isEmpty || repository.files.count > before { repository.topLevel.append(name) }
            } else {
                repository.topLevel.append(name)
                readText(url, path: name, into: &repository.files)
            }
        }
        return repository
    }

    private static func read(
        _ folder: URL, path: String, into files: inout [SourceFile], isEmpty: inout Bool
    ) {
        for name in names(in: folder) {
            let url = folder.appendingPathComponent(name)
            if isDirectory(url) {
                read(url, path: "\(path)/\(name)", into: &files, isEmpty: &isEmpty)
            } else {
                isEmpty = false
                readText(url, path: "\(path)/\(name)", into: &files)
            }
        }
    }

    private static func readText(_ url: URL, path: String, into files: inout [SourceFile]) {
        guard textEndings.contains(url.pathExtension),
            let bytes = try? Data(contentsOf: url),
            let text = String(data: bytes, encoding: .utf8)
        else { return }
        files.append(SourceFile(path: path, text: text))
    }

    private static func isIgnored(_ name: String) -> Bool {
        ignored.contains(name) || name.hasPrefix(".build") || name.hasSuffix(".swp")
    }

    private static func isDirectory(_ url: URL) -> Bool {
        (try? url.resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory ?? false
    }

    private static func names(in folder: URL) -> [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
        return (names ?? []).sorted()
    }
}
