import Base
import CLinux

/// A listener's open sockets, one for each loop.
///
/// IP: one socket per loop on the same address (SO_REUSEPORT): the kernel spreads connections.
/// Unix: one socket whose descriptor every loop has a copy of: whoever is awake accepts.
package struct BoundListener {
    let options: ListenerOptions
    /// With the port that the kernel chose.
    package private(set) var address: ListenerAddress
    private(set) var descriptors: [Int32] = []

    package init(_ options: ListenerOptions, copies: Int) throws(LoopError) {
        self.options = options
        address = options.address
        do {
            switch options.address {
            case .ip(let wanted): try bindIP(wanted, copies: copies)
            case .unix(let path): try bindUnix(path, copies: copies)
            }
        } catch {
            close()
            throw error
        }
    }

    package func close() { for descriptor in descriptors { System.close(descriptor) } }

    var unixPath: String? {
        switch options.address {
        case .ip: nil
        case .unix(let path): path
        }
    }

    /// The port that the kernel chose, or 0 for Unix sockets.
    package var port: UInt16 {
        switch address {
        case .ip(let place): place.port
        case .unix: 0
        }
    }

    func listener(forCopy copy: Int) -> EventLoop.Listener {
        let local: PeerAddress =
            switch address {
            case .ip(let bound): bound
            case .unix: .unix
            }
        return EventLoop.Listener(
            descriptor: descriptors[copy], address: local, isPaused: false,
            handshakeTime: options.handshakeTime, proxy: options.proxy, tls: options.tls)
    }

    private mutating func bindIP(_ wanted: PeerAddress, copies: Int) throws(LoopError) {
        var place = wanted
        for _ in 0..<copies {
            let family = place.address.isV4 ? AF_INET : AF_INET6
            let descriptor = apus_socket(family)
            guard descriptor >= 0 else { throw failure("\(place)", descriptor) }
            descriptors.append(descriptor)
            try setOptions(descriptor, place)
            let result = place.withKernelForm { apus_bind(descriptor, $0, $1) }
            guard result == 0 else { throw failure("\(place)", result) }
            try listen(descriptor, "\(place)")
            place.port = try chosenPort(of: descriptor, place)
        }
        address = .ip(place)
    }

    private func chosenPort(of descriptor: Int32, _ place: PeerAddress) throws(LoopError) -> UInt16
    {
        var storage = sockaddr_storage()
        var size: UInt32 = 0
        let result = apus_local_address(descriptor, &storage, &size)
        guard result == 0 else { throw failure("\(place)", result) }
        return PeerAddress(storage).port
    }

    /// Accepted connections inherit these.
    private func setOptions(_ descriptor: Int32, _ place: PeerAddress) throws(LoopError) {
        let tcp = Int32(IPPROTO_TCP)
        var wanted: [(level: Int32, name: Int32, value: Int)] = [
            (SOL_SOCKET, SO_REUSEADDR, 1), (SOL_SOCKET, SO_REUSEPORT, 1),
            (tcp, TCP_NODELAY, options.noDelay ? 1 : 0),
        ]
        if let seconds = options.keepAliveSeconds {
            wanted.append((SOL_SOCKET, SO_KEEPALIVE, 1))
            wanted.append((tcp, TCP_KEEPIDLE, seconds))
            wanted.append((tcp, TCP_KEEPINTVL, options.keepAliveProbeSeconds))
            wanted.append((tcp, TCP_KEEPCNT, options.keepAliveProbes))
        }
        if !place.address.isV4 {
            wanted.append((Int32(IPPROTO_IPV6), IPV6_V6ONLY, options.isIPv6Only ? 1 : 0))
        }
        for (level, name, value) in wanted {
            let result = apus_set_option(descriptor, level, name, Int32(clamping: value))
            guard result == 0 else { throw failure("\(place)", result) }
        }
    }

    private mutating func bindUnix(_ path: String, copies: Int) throws(LoopError) {
        removeStale(path)
        let descriptor = apus_socket(AF_UNIX)
        guard descriptor >= 0 else { throw failure(path, descriptor) }
        descriptors.append(descriptor)
        let bound = PeerAddress.withKernelForm(unixPath: path) { apus_bind(descriptor, $0, $1) }
        guard let bound else {
            throw .cannotListen(on: path, reason: "the path is empty or longer than 107 bytes")
        }
        guard bound == 0 else { throw failure(path, bound) }
        try listen(descriptor, path)
        for _ in 1..<copies {
            let copy = apus_duplicate(descriptor)
            guard copy >= 0 else { throw failure(path, copy) }
            descriptors.append(copy)
        }
    }

    /// Removes a socket file that an ended process has left: one that refuses a connection.
    private func removeStale(_ path: String) {
        let descriptor = apus_socket(AF_UNIX)
        guard descriptor >= 0 else { return }
        defer { System.close(descriptor) }
        let result = PeerAddress.withKernelForm(unixPath: path) {
            apus_connect(descriptor, $0, $1)
        }
        if result == -System.refused { System.removeFile(path) }
    }

    private func listen(_ descriptor: Int32, _ place: String) throws(LoopError) {
        let result = apus_listen(descriptor, Int32(clamping: options.backlog))
        guard result == 0 else { throw failure(place, result) }
    }

    private func failure(_ place: String, _ result: Int32) -> LoopError {
        .cannotListen(on: place, reason: System.describe(-result))
    }
}
