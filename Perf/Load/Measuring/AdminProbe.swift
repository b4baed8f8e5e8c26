import Base
import Glibc
import PerfReport

/// Asks an Apus broker's admin port what its own tables hold, by owner: what the kernel cannot
/// know. Blocking, and used only before and after a run.
package struct AdminProbe: Sendable {
    /// Largest page that is read.
    private static let pageBytesMax = 4 << 20
    private static let timeoutSeconds = 5

    package let address: IPAddress
    package let port: UInt16

    package init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// `127.0.0.1:8091`; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), address.isV4,
            let port = UInt16(parts[1])
        else { return nil }
        self.init(address: address, port: port)
    }

    /// Bytes by owner; none if the broker does not say.
    package func memory() -> [String: Int] { page().map(Self.parse) ?? [:] }

    /// Lines like `apus_memory_bytes{owner="sessions"} 4096`.
    package static func parse(_ page: String) -> [String: Int] {
        let start = #"apus_memory_bytes{owner=""#
        var owners: [String: Int] = [:]
        for line in page.split(separator: "\n") where line.hasPrefix(start) {
            let rest = line.dropFirst(start.count)
            guard let end = rest.firstIndex(of: "\""), let space = rest.lastIndex(of: " "),
                let bytes = Int(rest[rest.index(after: space)...].filter { $0 != "\r" })
            else { continue }
            owners[String(rest[..<end]), default: 0] += bytes
        }
        return owners
    }

    /// What each owner has more than before, and what of the process's growth, if it is known, none
    /// has.
    package static func growth(
        from before: [String: Int], to after: [String: Int], ofProcess process: Int?
    ) -> [OwnerBytes] {
        var rows = after.map { OwnerBytes(owner: $0.key, bytes: $0.value - (before[$0.key] ?? 0)) }
        rows.sort { ($1.bytes, $0.owner) < ($0.bytes, $1.owner) }
        let named = rows.reduce(0) { $0 + $1.bytes }
        guard let process else { return rows }
        return rows + [OwnerBytes(owner: "not accounted", bytes: process - named)]
    }

    private func page() -> String? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var timeout = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
        guard isConnected(descriptor) else { return nil }
        // A broker without API keys wants to be called by its loopback address.
        let host = "\(address):\(port)"
        let request = Array(
            "GET /metrics HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n".utf8)
        let sent = send(descriptor, request, request.count, Int32(MSG_NOSIGNAL))
        return sent == request.count ? answer(descriptor) : nil
    }

    private func isConnected(_ descriptor: Int32) -> Bool {
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = port.bigEndian
        target.sin_addr.s_addr = address.v4.bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, size) == 0
            }
        }
    }

    private func answer(_ descriptor: Int32) -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < Self.pageBytesMax {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { break }
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.hasPrefix("HTTP/1.1 200") ? text : nil
    }
}
