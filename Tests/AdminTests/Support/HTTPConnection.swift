import Base
import Glibc

/// An answer as it came over the wire.
struct HTTPReply: Sendable {
    var status: Int
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// A blocking TCP connection for tests, which says exactly the bytes that it is told to.
final class HTTPConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []

    /// Seconds that a read may take before the test has failed.
    private static let patience = 10

    init(port: UInt16) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: Self.patience, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            sent += count
        }
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    /// False at the end, or if nothing came in time.
    private func fill() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        received += buffer[..<count]
        return true
    }

    /// Bytes until `count` of them are there; nil at the end.
    func read(_ count: Int) -> [UInt8]? {
        while received.count < count { if !fill() { return nil } }
        defer { received.removeFirst(count) }
        return Array(received[..<count])
    }

    /// Whether the other side has ended the connection, what it said before left aside.
    func isEnded() -> Bool {
        while fill() {}
        return errno != EAGAIN
    }

    /// The next answer, informational ones left out; nil if the connection ends before.
    func reply(hasBody: Bool = true) -> HTTPReply? {
        while true {
            guard let head = readHead() else { return nil }
            let lines = head.split(separator: "\r\n", omittingEmptySubsequences: true)
            guard let first = lines.first,
                let status = first.split(separator: " ").dropFirst().first
                    .flatMap({ Int($0) })
            else { return nil }
            if status < 200 { continue }
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                headers[line[..<colon].lowercased()] = String(
                    line[line.index(after: colon)...].drop { $0 == " " })
            }
            let count = hasBody ? headers["content-length"].flatMap { Int($0) } ?? 0 : 0
            return HTTPReply(status: status, headers: headers, body: read(count) ?? [])
        }
    }

    private func readHead() -> String? {
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let at = received.indices.first(where: { received[$0...].starts(with: end) }) {
                let head = String(decoding: received[..<at], as: UTF8.self)
                received.removeFirst(at + end.count)
                return head
            }
            if !fill() { return nil }
        }
    }
}
