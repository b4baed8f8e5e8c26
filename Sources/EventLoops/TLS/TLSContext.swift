import Base
import COpenSSL

/// Everything that connections of one kind share: certificates, trust, limits. Immutable; a reload
/// makes a new one, and connections keep theirs until they end.
///
/// ```
///  SSL_CTX 0   first certificate: clients that name no server, or an unknown one
///  SSL_CTX 1   second certificate ...    chosen in the handshake by the name the client wants
/// ```
/// Safe to share between loops: OpenSSL counts references to contexts itself and only reads them.
package final class TLSContext: @unchecked Sendable {
    /// One per certificate; one in all for a client.
    let contexts: [OpaquePointer]
    let names: TLSNameTable
    /// Length-prefixed application protocols in order of preference.
    let protocols: [UInt8]
    let ticketKeys: TLSTicketKeys?
    let refusesUnknownNames: Bool
    let isServer: Bool
    /// What an operator should know although it is no error: certificates that have run out.
    package let warnings: [String]
    /// When the certificates run out.
    package let expiries: [Expiry]

    /// The end of one certificate's validity.
    package struct Expiry: Equatable, Sendable {
        package var path: String
        package var at: WallTime
    }

    private init(
        contexts: [OpaquePointer], names: TLSNameTable, protocols: [String],
        ticketKeys: TLSTicketKeys?, refusesUnknownNames: Bool, isServer: Bool,
        warnings: [String], expiries: [Expiry]
    ) {
        self.contexts = contexts
        self.names = names
        self.protocols = Self.encode(protocols)
        self.ticketKeys = ticketKeys
        self.refusesUnknownNames = refusesUnknownNames
        self.isServer = isServer
        self.warnings = warnings
        self.expiries = expiries
    }

    deinit {
        for context in contexts { SSL_CTX_free(context) }
    }

    /// Loads a listener's certificates and trust. `ticketKeys` outlive the context: give a
    /// reloaded one the same.
    package static func server(
        _ options: TLSServerOptions, ticketKeys: TLSTicketKeys
    ) throws(TLSError) -> TLSContext {
        guard !options.certificates.isEmpty else {
            throw TLSError(
                file: "", problem: "a TLS listener needs a certificate",
                remedy: "give certificate and key files")
        }
        try checkProtocols(options.protocols)
        var loader = TLSLoader()
        do {
            let contexts = try loader.servers(options)
            let result = TLSContext(
                contexts: contexts, names: loader.names, protocols: options.protocols,
                ticketKeys: ticketKeys, refusesUnknownNames: options.refusesUnknownNames,
                isServer: true, warnings: loader.warnings, expiries: loader.expiries)
            result.installCallbacks()
            return result
        } catch {
            loader.discard()
            throw error
        }
    }

    /// Loads what connections that we open need.
    package static func client(_ options: TLSClientOptions) throws(TLSError) -> TLSContext {
        try checkProtocols(options.protocols)
        var loader = TLSLoader()
        do {
            let context = try loader.client(options)
            return TLSContext(
                contexts: [context], names: TLSNameTable(), protocols: options.protocols,
                ticketKeys: nil, refusesUnknownNames: false, isServer: false,
                warnings: loader.warnings, expiries: [])
        } catch {
            loader.discard()
            throw error
        }
    }

    private static func checkProtocols(_ protocols: [String]) throws(TLSError) {
        for name in protocols where name.isEmpty || name.utf8.count > 255 {
            throw TLSError(
                file: "", problem: "an application protocol has 1 to 255 bytes",
                remedy: "give names such as mqtt")
        }
    }

    private static func encode(_ protocols: [String]) -> [UInt8] {
        protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    }

    private func installCallbacks() {
        // Not retained: a session holds its TLSContext for as long as OpenSSL can call back.
        let me = Unmanaged.passUnretained(self).toOpaque()
        for context in contexts {
            apus_tls_on_server_name(context, TLSCallbacks.serverName, me)
            apus_tls_on_ticket_key(context, TLSCallbacks.ticketKey)
            SSL_CTX_set_ex_data(context, TLSCallbacks.contextIndex, me)
            if !protocols.isEmpty {
                SSL_CTX_set_alpn_select_cb(context, TLSCallbacks.selectProtocol, me)
            }
        }
    }
}
