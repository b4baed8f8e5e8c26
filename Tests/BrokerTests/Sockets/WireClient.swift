import Base
import Glibc
import MQTT

/// A client of bytes over a real, blocking socket: sends anything, reads packet by packet.
///
/// A read waits at most `patience`; what comes later counts as a server that does not answer.
final class WireClient: PacketSource {
    private static let patience = 15
    private var descriptor: Int32
    private var buffer: [UInt8] = []
    private var isEnded = false

    init(port: UInt16) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        var time = timeval(tv_sec: Self.patience, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, size)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        isEnded = result != 0
    }

    deinit { close() }

    /// Connected, as far as this side knows.
    var isOpen: Bool { !isEnded }

    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
        isEnded = true
    }

    /// Nothing follows; the answer can still be read.
    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Sends everything that the server takes; one that closes in between is no fault.
    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            sent += count
        }
    }

    func send(_ write: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        write(&writer)
        send(writer.array)
    }

    /// Reads some bytes; false at the end.
    private func fill() -> Bool {
        guard !isEnded else { return false }
        var piece = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &piece, piece.count, 0)
        guard count > 0 else {
            isEnded = true
            return false
        }
        buffer += piece[..<count]
        return true
    }

    /// The next MQTT packet, whole; nil once the server has closed (or does not answer).
    func next() -> [UInt8]? {
        while true {
            let result = buffer.withRawSpan {
                FixedHeader.decode($0, offset: 0, maximumPacketSize: .max)
            }
            switch result {
            case .frame(let header):
                let packet = Array(buffer[..<header.totalSize])
                buffer.removeFirst(header.totalSize)
                return packet
            case .needMore: if !fill() { return nil }
            case .fault: return nil
            }
        }
    }

    /// Exactly `count` bytes, or what there was before the end.
    func read(_ count: Int) -> [UInt8] {
        while buffer.count < count, fill() {}
        let taken = Array(buffer.prefix(count))
        buffer.removeFirst(taken.count)
        return taken
    }

    /// Everything up to the end.
    func readAll() -> [UInt8] {
        while fill() {}
        defer { buffer = [] }
        return buffer
    }
}
