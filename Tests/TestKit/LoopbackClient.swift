import Base
import Glibc

/// The other end of a connection in tests: a non-blocking stream socket that is sent to and read
/// from between turns, so that one thread can play both sides.
package final class LoopbackClient {
    private var descriptor: Int32
    /// Everything read so far that `take` has not removed.
    package private(set) var received: [UInt8] = []
    /// The server has ended its side.
    package private(set) var isEnded = false
    /// The errno with which the connection broke.
    package private(set) var failure: Int32?

    /// Connects to a port of the loopback address; `receiveBuffer` bounds what the kernel takes
    /// for a client that does not read.
    package init(port: UInt16, isIPv6: Bool = false, receiveBuffer: Int? = nil) {
        let family = isIPv6 ? AF_INET6 : AF_INET
        descriptor = socket(
            family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        if let receiveBuffer { set(SOL_SOCKET, SO_RCVBUF, Int32(receiveBuffer)) }
        set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_addr = in6addr_loopback
            connect(address)
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            connect(address)
        }
    }

    package init(unixPath path: String) {
        descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        connect(address)
    }

    deinit { close() }

    private func connect<Address>(_ address: Address) {
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        if result < 0, errno != EINPROGRESS { failure = errno }
    }

    private func set(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Sends what the kernel takes; returns how many bytes that was.
    @discardableResult
    package func send(_ bytes: some Collection<UInt8>) -> Int {
        let bytes = [UInt8](bytes)
        let count = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        if count < 0 {
            if errno != EAGAIN, errno != ENOTCONN { failure = errno }
            return 0
        }
        return count
    }

    /// Reads what is there, at most `limit` bytes.
    package func read(atMost limit: Int = .max) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var left = limit
        while left > 0, !isEnded, failure == nil {
            let count = recv(descriptor, &buffer, min(buffer.count, left), 0)
            if count > 0 {
                received += buffer[..<count]
                left -= count
            } else if count == 0 {
                isEnded = true
            } else {
                if errno != EAGAIN, errno != ENOTCONN { failure = errno }
                return
            }
        }
    }

    /// Removes and returns everything read so far.
    package func take() -> [UInt8] {
        defer { received = [] }
        return received
    }

    /// Ends the sending side only.
    package func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Breaks the connection: the server sees a reset.
    package func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &linger,
            socklen_t(MemoryLayout.size(ofValue: linger)))
        close()
    }

    package func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }
}
