import CLinux

/// What an owner may look at.
extension EventLoop {
    /// The other end of a connection as the socket knows it: behind a proxy, the proxy.
    package func peerAddress(of connection: ConnectionID) -> PeerAddress? {
        guard let record = table.find(connection) else { return nil }
        var address = sockaddr_storage()
        var size: UInt32 = 0
        guard apus_peer_address(record.pointee.descriptor, &address, &size) >= 0 else {
            return nil
        }
        return PeerAddress(address)
    }
}
