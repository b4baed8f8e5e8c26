import Base

/// Where a listener waits: an address and port, or the path of a Unix socket.
package enum ListenAddress: Equatable, Sendable, CustomStringConvertible {
    /// Port 0 lets the kernel choose. `::` takes clients of both families.
    case ip(IPAddress, port: UInt16)
    case unix(path: String)

    /// Reads `127.0.0.1:1883`, `[::1]:1883`, `localhost:1883`, `:1883` and `*:1883` (every
    /// address of the machine), `unix:/path`.
    package init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            // The kernel's limit for the path of a socket.
            guard !path.isEmpty, path.utf8.count <= 107 else { return nil }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...]),
            text[text.index(after: colon)...].allSatisfy(\.isNumber)
        else { return nil }
        let host = text[..<colon]
        switch host {
        case "", "*": self = .ip(IPAddress(high: 0, low: 0), port: port)
        case "localhost": self = .ip(.v4Loopback, port: port)
        default:
            let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
            let inner = isBracketed ? host.dropFirst().dropLast() : host
            guard let address = IPAddress(inner), isBracketed == inner.contains(":") else {
                return nil
            }
            self = .ip(address, port: port)
        }
    }

    package var description: String {
        switch self {
        case .ip(let address, let port):
            address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Reachable from this machine alone.
    package var isLocal: Bool {
        switch self {
        case .ip(let address, _): address.isLoopback
        case .unix: true
        }
    }
}
