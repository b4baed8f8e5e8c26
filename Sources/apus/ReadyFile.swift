import Base
import Broker
import EventLoops
import Foundation
import Policy

/// What a node says of itself to whoever has started it: one JSON object, written at once.
enum ReadyFile {
    static func write(_ path: String, _ report: NodeReport) throws(FileError) {
        try FileBytes.replace(path, with: Array((report.json + "\n").utf8), mode: 0o644)
    }
}

/// What is known of a node once it serves.
struct NodeReport {
    var pid: Int32
    var version: String
    var poller: String
    var loops: Int
    var node: UInt64
    /// Name and bound address, in the order of the configuration.
    var listeners: [(name: String, address: String)]

    init(_ node: Node, _ options: NodeOptions, _ admin: AdminPorts) {
        pid = ProcessInfo.processInfo.processIdentifier
        version = Release.version
        poller = node.pollerKind == .uring ? "io_uring" : node.pollerKind.rawValue
        loops = options.loops.workers
        self.node = options.node.rawValue
        listeners = node.listeners.map { ($0.name, $0.address.text) } + admin.listeners
    }

    var json: String {
        let places = listeners.map { $0.name.quotedForJSON + ": " + $0.address.quotedForJSON }
        return "{\"pid\": \(pid), \"version\": \(version.quotedForJSON), "
            + "\"poller\": \(poller.quotedForJSON), \"loops\": \(loops), \"node\": \(node), "
            + "\"listeners\": {" + places.joined(separator: ", ") + "}}"
    }
}
