import Base
import CLinux

/// Where a connection comes from or arrived at: an IP address with its port, or a Unix socket.
///
/// A plain value without references, so that it can lie in arena records.
package struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
    /// `::` for Unix sockets.
    package var address: IPAddress
    /// Zero for Unix sockets.
    package var port: UInt16
    package var isUnix: Bool

    package init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
        isUnix = false
    }

    private init(unix: Void) {
        address = IPAddress(high: 0, low: 0)
        port = 0
        isUnix = true
    }

    package static let unix = PeerAddress(unix: ())

    /// The IP address, or nil for a Unix socket.
    package var ip: IPAddress? { isUnix ? nil : address }

    /// Whether a listener with this address takes connections to any address of the machine.
    var isWildcard: Bool {
        !isUnix && address.high == 0 && (address.low == 0 || address == IPAddress(v4: 0))
    }

    package var isLoopback: Bool { isUnix || address.isLoopback }

    /// The address and port as people write them, or "unix".
    package var description: String {
        if isUnix { return "unix" }
        return address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }

    init(_ storage: sockaddr_storage) {
        let family = Int32(storage.ss_family)
        self = withUnsafeBytes(of: storage) { bytes in
            let port = UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
            if family == AF_INET {
                let word = UInt32(bigEndian: bytes.load(fromByteOffset: 4, as: UInt32.self))
                return PeerAddress(IPAddress(v4: word), port: port)
            }
            if family == AF_INET6 {
                let high = UInt64(bigEndian: bytes.load(fromByteOffset: 8, as: UInt64.self))
                let low = UInt64(bigEndian: bytes.load(fromByteOffset: 16, as: UInt64.self))
                return PeerAddress(IPAddress(high: high, low: low), port: port)
            }
            return .unix
        }
    }

    /// Calls `body` with the address in the kernel's form. Not for Unix sockets.
    func withKernelForm<R>(_ body: (UnsafePointer<sockaddr>, UInt32) -> R) -> R {
        invariant(!isUnix, "a Unix socket has no address of this form")
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(address.isV4 ? AF_INET : AF_INET6)
        let size =
            address.isV4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        withUnsafeMutableBytes(of: &storage) { bytes in
            bytes.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
            if address.isV4 {
                bytes.storeBytes(of: address.v4.bigEndian, toByteOffset: 4, as: UInt32.self)
            } else {
                bytes.storeBytes(of: address.high.bigEndian, toByteOffset: 8, as: UInt64.self)
                bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 16, as: UInt64.self)
            }
        }
        return withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, UInt32(size)) }
        }
    }

    /// Calls `body` with a Unix socket's path in the kernel's form, or gives nil if the path does
    /// not fit.
    static func withKernelForm<R>(
        unixPath path: String, _ body: (UnsafePointer<sockaddr>, UInt32) -> R
    ) -> R? {
        var storage = sockaddr_un()
        storage.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: storage.sun_path)
        guard !bytes.isEmpty, bytes.count < room else { return nil }
        withUnsafeMutableBytes(of: &storage.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, UInt32(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
