import Base
import Foundation

/// Tells systemd how the node does, over the datagram socket that it names in NOTIFY_SOCKET.
/// Without one, nothing happens.
///
/// ```
///   READY=1 -> WATCHDOG=1 ... -> RELOADING=1, READY=1 ... -> STOPPING=1
/// ```
struct SystemdLink: Sendable {
    private let path: String?
    /// How often systemd wants to hear from us, at least; nil if it does not watch.
    let watchdogTime: Duration?

    init(_ environment: [String: String], pid: Int32) {
        let path = environment["NOTIFY_SOCKET"] ?? ""
        // The rest of the address structure is the path; "@" stands for a leading null.
        let isUsable = (path.hasPrefix("/") || path.hasPrefix("@")) && path.utf8.count < 108
        self.path = isUsable ? path : nil
        let isOurs = environment["WATCHDOG_PID"].map { $0 == String(pid) } ?? true
        watchdogTime =
            isOurs
            ? environment["WATCHDOG_USEC"].flatMap { Int64($0) }
                .flatMap { $0 > 0 ? .microseconds($0) : nil } : nil
    }

    func ready() { send("READY=1\n") }
    func stopping() { send("STOPPING=1\n") }
    func alive() { send("WATCHDOG=1\n") }

    func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        send("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000)\n")
    }

    /// Lost datagrams are systemd's concern: it restarts what stays silent.
    private func send(_ message: String) {
        guard let path else { return }
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let text = Array(message.utf8)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    descriptor, text, text.count,
                    Int32(MSG_DONTWAIT)
                        | Int32(MSG_NOSIGNAL), $0, size)
            }
        }
    }
}
