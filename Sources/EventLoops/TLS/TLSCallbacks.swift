import COpenSSL

/// Where OpenSSL asks us in a handshake. All run on the loop of the connection, inside a call of
/// `TLSEngine`.
enum TLSCallbacks {
    /// The place of the TLSContext's address in an SSL_CTX.
    static let contextIndex: Int32 = CRYPTO_get_ex_new_index(
        CRYPTO_EX_INDEX_SSL_CTX, 0, nil, nil, nil, nil)

    private static func context(_ argument: UnsafeMutableRawPointer?) -> TLSContext? {
        argument.map { Unmanaged<TLSContext>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Chooses the certificate by the name of the server that the client wants.
    static let serverName:
        @convention(c) (OpaquePointer?, UnsafeMutablePointer<Int32>?, UnsafeMutableRawPointer?)
            -> Int32 = { session, _, argument in
                guard let context = context(argument),
                    let text = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name)
                else { return SSL_TLSEXT_ERR_NOACK }
                guard let index = context.names.index(for: String(cString: text)) else {
                    return context.refusesUnknownNames
                        ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK
                }
                if index > 0 { SSL_set_SSL_CTX(session, context.contexts[index]) }
                return SSL_TLSEXT_ERR_OK
            }

    /// Chooses the application protocol: our preference among what the client offers.
    static let selectProtocol:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
            UnsafeMutablePointer<UInt8>?, UnsafePointer<UInt8>?, UInt32,
            UnsafeMutableRawPointer?
        ) -> Int32 = { _, chosen, chosenCount, offered, offeredCount, argument in
            guard let context = context(argument), let chosen, let chosenCount else {
                return SSL_TLSEXT_ERR_NOACK
            }
            var selected: UnsafeMutablePointer<UInt8>?
            let result = context.protocols.withUnsafeBufferPointer { ours in
                SSL_select_next_proto(
                    &selected, chosenCount, ours.baseAddress, UInt32(ours.count), offered,
                    offeredCount)
            }
            guard result == OPENSSL_NPN_NEGOTIATED, let selected, let offered else {
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }
            // What was found lies in our list, which may move: name the same bytes of the offer.
            chosen.pointee = find(selected, chosenCount.pointee, offered, Int(offeredCount))
            return chosen.pointee == nil ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK
        }

    private static func find(
        _ name: UnsafePointer<UInt8>, _ count: UInt8, _ offered: UnsafePointer<UInt8>,
        _ offeredCount: Int
    ) -> UnsafePointer<UInt8>? {
        var offset = 0
        while offset < offeredCount {
            let size = Int(offered[offset])
            guard offset + 1 + size <= offeredCount else { return nil }
            let candidate = offered + offset + 1
            let isSame =
                size == Int(count) && (0..<size).allSatisfy { candidate[$0] == name[$0] }
            if isSame { return candidate }
            offset += 1 + size
        }
        return nil
    }

    /// Seals and opens session tickets.
    static let ticketKey:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?,
            OpaquePointer?, OpaquePointer?, Int32
        ) -> Int32 = { session, name, vector, cipher, mac, seals in
            let argument = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(session), contextIndex)
            guard let keys = context(argument)?.ticketKeys, let name, let vector, let cipher,
                let mac
            else { return -1 }
            return keys.prepare(
                name: name, vector: vector, cipher: cipher, mac: mac, seals: seals == 1)
        }
}
