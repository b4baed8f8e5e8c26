import ArgumentParser
import Foundation
import PerfReport

/// Makes one page of the runs in some files.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Writes an HTML page about one or several runs.",
        discussion: """
            The files are those that --json writes; each may hold several runs. The page needs \
            nothing else: no network, no script.
            """)

    @Argument(help: "Files of runs.")
    var files: [String]

    @Option(name: [.short, .long], help: "The page; - for standard output.")
    var output = "report.html"

    @Option(help: "The page's title; the runs' name if they have one in common.")
    var title: String?

    func run() throws {
        let runs = try files.flatMap { try RunRecordReader.read(path: $0) }
        try PageFile.write(runs, title: title, to: output)
    }
}

/// A page on its way to a file.
enum PageFile {
    static func write(_ runs: [RunRecord], title: String?, to path: String) throws {
        let now = ISO8601DateFormatter().string(from: Date())
        let html = ReportPage(runs: runs, title: title ?? "", writtenAt: now).html()
        if path == "-" {
            FileHandle.standardOutput.write(Data(html.utf8))
        } else {
            try Data(html.utf8).write(to: URL(fileURLWithPath: path))
        }
    }
}
