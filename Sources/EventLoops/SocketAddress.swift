import Base
import CLinux
import Glibc

/// Where a connection comes from or arrived at: an IP address with its port, or a Unix socket.
///
/// A plain value without references, so that it lies in arena records. The bytes of an address are
/// kept in network order; an IPv4 address lies in the first four.
package struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
    package enum Family: UInt8, Sendable {
        case ipv4
        case ipv6
        case unix
    }

    package var family: Family
    /// Zero for Unix sockets.
    package var port: UInt16
    /// The first and the last eight bytes of the address, as big-endian numbers.
    package var high: UInt64
    package var low: UInt64

    package init(family: Family, port: UInt16, high: UInt64, low: UInt64) {
        self.family = family
        self.port = port
        self.high = high
        self.low = low
    }

    package init(ipv4 address: UInt32, port: UInt16) {
        self.init(family: .ipv4, port: port, high: UInt64(address) << 32, low: 0)
    }

    package static let unix = PeerAddress(family: .unix, port: 0, high: 0, low: 0)

    /// Whether a listener with this address takes connections to any address of the machine.
    package var isWildcard: Bool { family != .unix && high == 0 && low == 0 }

    package var isLoopback: Bool {
        switch family {
        case .ipv4: high >> 56 == 127
        case .ipv6: high == 0 && low == 1 || high == 0 && low >> 24 == 0xFFFF7F
        case .unix: true
        }
    }

    init(_ storage: sockaddr_storage) {
        let family = Int32(storage.ss_family)
        self = withUnsafeBytes(of: storage) { bytes in
            switch family {
            case AF_INET:
                PeerAddress(
                    ipv4: UInt32(bigEndian: bytes.load(fromByteOffset: 4, as: UInt32.self)),
                    port: UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self)))
            case AF_INET6:
                PeerAddress(
                    family: .ipv6,
                    port: UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self)),
                    high: UInt64(bigEndian: bytes.load(fromByteOffset: 8, as: UInt64.self)),
                    low: UInt64(bigEndian: bytes.load(fromByteOffset: 16, as: UInt64.self)))
            default:
                .unix
            }
        }
    }

    /// The address and port, as people write them.
    package var description: String {
        switch family {
        case .ipv4, .ipv6: "\(family == .ipv6 ? "[\(host)]" : host):\(port)"
        case .unix: "unix"
        }
    }

    /// The address without its port.
    package var host: String {
        switch family {
        case .ipv4:
            return (0..<4).map { String((high >> (56 - 8 * UInt64($0))) & 255) }
                .joined(separator: ".")
        case .ipv6:
            var bytes = (high.bigEndian, low.bigEndian)
            return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
                inet_ntop(AF_INET6, &bytes, text.baseAddress, 64)
                return String(cString: text.baseAddress.unsafelyUnwrapped)
            }
        case .unix:
            return "unix"
        }
    }

    /// The address that `text` writes ("127.0.0.1", "::1"), or nil: names are not resolved here.
    package init?(host text: String, port: UInt16) {
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(ipv4: UInt32(bigEndian: four.s_addr), port: port)
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            let words = withUnsafeBytes(of: &six) {
                (
                    UInt64(bigEndian: $0.load(as: UInt64.self)),
                    UInt64(bigEndian: $0.load(fromByteOffset: 8, as: UInt64.self))
                )
            }
            self.init(family: .ipv6, port: port, high: words.0, low: words.1)
        } else {
            return nil
        }
    }

    /// Calls `body` with the address in the kernel's form. Not for Unix sockets.
    func withKernelForm<R>(_ body: (UnsafePointer<sockaddr>, UInt32) -> R) -> R {
        var storage = sockaddr_storage()
        let size: UInt32
        switch family {
        case .ipv4:
            storage.ss_family = sa_family_t(AF_INET)
            size = UInt32(MemoryLayout<sockaddr_in>.size)
        case .ipv6:
            storage.ss_family = sa_family_t(AF_INET6)
            size = UInt32(MemoryLayout<sockaddr_in6>.size)
        case .unix:
            size = 0
            invariant(false, "a Unix socket has no address of this form")
        }
        let isFour = family == .ipv4
        withUnsafeMutableBytes(of: &storage) { bytes in
            bytes.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
            if isFour {
                let word = UInt32(truncatingIfNeeded: high >> 32).bigEndian
                bytes.storeBytes(of: word, toByteOffset: 4, as: UInt32.self)
            } else {
                bytes.storeBytes(of: high.bigEndian, toByteOffset: 8, as: UInt64.self)
                bytes.storeBytes(of: low.bigEndian, toByteOffset: 16, as: UInt64.self)
            }
        }
        return withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
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
