import Base
import CLinux
import COpenSSL

/// Builds OpenSSL's contexts from files, checking everything that can be checked before the first
/// client comes.
struct TLSLoader {
    private(set) var names = TLSNameTable()
    private(set) var warnings: [String] = []
    private(set) var expiries: [TLSContext.Expiry] = []
    /// Made so far; freed by `discard` if a later step fails.
    private var contexts: [OpaquePointer] = []

    mutating func discard() {
        for context in contexts { SSL_CTX_free(context) }
        contexts = []
    }

    // MARK: Servers

    mutating func servers(_ options: TLSServerOptions) throws(TLSError) -> [OpaquePointer] {
        let trust = try Trust(options)
        defer { trust?.free() }
        for (index, files) in options.certificates.enumerated() {
            let context = try make(TLS_server_method(), options.minimumVersion)
            try setCiphers(context, options)
            try useCertificate(context, files, nameIndex: index)
            trust?.apply(to: context, options)
            setLimits(context, options)
            setSessionScope(context, options)
        }
        return contexts
    }

    private mutating func make(
        _ method: OpaquePointer?, _ minimum: TLSVersion
    ) throws(TLSError) -> OpaquePointer {
        guard let context = SSL_CTX_new(method) else {
            throw Self.failure("OpenSSL gives no context", "see its configuration file")
        }
        contexts.append(context)
        let modes =
            SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
            | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY
        apus_tls_set_mode(context, Int(modes))
        apus_tls_disable_session_cache(context)
        SSL_CTX_set_options(
            context, Self.noRenegotiation | Self.noCompression | Self.serverPreference)
        guard apus_tls_set_version_min(context, Self.number(minimum)) != 0 else {
            throw Self.failure(
                "OpenSSL does not speak TLS \(minimum.rawValue)", "choose another version")
        }
        return context
    }

    // Macros with casts, which Swift does not import.
    private static let noRenegotiation: UInt64 = 1 << 30
    private static let noCompression: UInt64 = 1 << 17
    private static let serverPreference: UInt64 = 1 << 22

    private static func number(_ version: TLSVersion) -> Int32 {
        switch version {
        case .v1_2: TLS1_2_VERSION
        case .v1_3: TLS1_3_VERSION
        }
    }

    private func setCiphers(
        _ context: OpaquePointer, _ options: TLSServerOptions
    ) throws(TLSError) {
        if let ciphers = options.ciphers, SSL_CTX_set_cipher_list(context, ciphers) != 1 {
            throw Self.failure(
                "no cipher of \"\(ciphers)\" is known", "see `openssl ciphers -v`")
        }
        if let suites = options.cipherSuites, SSL_CTX_set_ciphersuites(context, suites) != 1 {
            throw Self.failure(
                "unknown cipher suite in \"\(suites)\"", "see `openssl ciphers -v -tls1_3`")
        }
    }

    private func setLimits(_ context: OpaquePointer, _ options: TLSServerOptions) {
        SSL_CTX_set_verify_depth(context, Int32(clamping: options.chainDepthMax))
        apus_tls_set_chain_bytes_max(context, options.chainBytesMax)
        // One ticket is enough for a device; OpenSSL would send two.
        SSL_CTX_set_num_tickets(context, 1)
    }

    /// A session is resumed only where the same authorities and revocation lists hold: a ticket
    /// says nothing about a certificate that was revoked since.
    private func setSessionScope(_ context: OpaquePointer, _ options: TLSServerOptions) {
        var scope: [UInt8] = Array(options.clientCertificates.rawValue.utf8)
        let files = [options.clientAuthorities].compactMap { $0 } + options.revocationLists
        for file in files { scope += (try? TLSFile.read(file, "")) ?? [] }
        SSL_CTX_set_session_id_context(context, Digest.sha256(scope), 32)
    }

    // MARK: Certificates

    private mutating func useCertificate(
        _ context: OpaquePointer, _ files: TLSCertificateFiles, nameIndex: Int
    ) throws(TLSError) {
        let remedy = "give a PEM file with the certificate first, then its chain"
        let certificates = try TLSFile.certificates(files.chain, remedy)
        defer { for certificate in certificates { X509_free(certificate) } }
        guard SSL_CTX_use_certificate(context, certificates[0]) == 1 else {
            throw Self.failure(files.chain, Self.opensslReason(), remedy)
        }
        for certificate in certificates.dropFirst()
        where apus_tls_add_chain_certificate(context, certificate) == 0 {
            throw Self.failure(files.chain, Self.opensslReason(), remedy)
        }
        let key = try TLSFile.key(files)
        defer { EVP_PKEY_free(key) }
        guard X509_check_private_key(certificates[0], key) == 1 else {
            throw Self.failure(
                files.key, "the key does not belong to the first certificate of \(files.chain)",
                "give the key that the certificate was made for")
        }
        guard SSL_CTX_use_PrivateKey(context, key) == 1 else {
            throw Self.failure(files.key, Self.opensslReason(), "give another key")
        }
        addNames(certificates[0], index: nameIndex)
        checkDates(certificates[0], files)
        checkPermissions(files)
    }

    private mutating func addNames(_ certificate: OpaquePointer, index: Int) {
        let alternatives = AlternativeNames(certificate)
        for name in alternatives.dns { names.add(name, index: index) }
        // Without alternative names the common name is what old clients look at.
        if alternatives.dns.isEmpty, let peer = PeerCertificate(certificate),
            let name = peer.commonName
        {
            names.add(name, index: index)
        }
    }

    private mutating func checkDates(_ certificate: OpaquePointer, _ files: TLSCertificateFiles) {
        var days: Int32 = 0
        var seconds: Int32 = 0
        // From now, which is what a missing first time stands for.
        if ASN1_TIME_diff(&days, &seconds, nil, X509_get0_notAfter(certificate)) == 1 {
            let left = Int64(days) * 86_400 + Int64(seconds)
            let end = Int64(clamping: System.wallTime.milliseconds) + left * 1_000
            expiries.append(
                TLSContext.Expiry(
                    path: files.chain, at: WallTime(milliseconds: UInt64(max(end, 0)))))
        }
        if X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0 {
            warnings.append("\(files.chain): the certificate has run out; renew it and reload")
        }
        if X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0 {
            warnings.append("\(files.chain): the certificate is not valid yet; check the clock")
        }
    }

    private mutating func checkPermissions(_ files: TLSCertificateFiles) {
        var status = stat()
        if stat(files.key, &status) == 0, status.st_mode & 0o004 != 0 {
            warnings.append("\(files.key): everybody may read the private key; chmod 600 it")
        }
    }

    // MARK: Clients

    mutating func client(_ options: TLSClientOptions) throws(TLSError) -> OpaquePointer {
        let context = try make(TLS_client_method(), options.minimumVersion)
        if let maximum = options.maximumVersion {
            _ = apus_tls_set_version_max(context, Self.number(maximum))
        }
        if let certificate = options.certificate {
            try useCertificate(context, certificate, nameIndex: 0)
        }
        if let authorities = options.authorities {
            let trusted = try TLSFile.certificates(
                authorities, "give the PEM certificates of the server's authorities")
            for certificate in trusted {
                X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate)
                X509_free(certificate)
            }
        } else {
            SSL_CTX_set_default_verify_paths(context)
        }
        SSL_CTX_set_verify(
            context, options.verifiesServer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
        let protocols = options.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        if !protocols.isEmpty {
            SSL_CTX_set_alpn_protos(context, protocols, UInt32(protocols.count))
        }
        return context
    }

    // MARK: Faults

    static func failure(_ problem: String, _ remedy: String) -> TLSError {
        failure("", problem, remedy)
    }

    static func failure(_ file: String, _ problem: String, _ remedy: String) -> TLSError {
        ERR_clear_error()
        return TLSError(file: file, problem: problem, remedy: remedy)
    }

    static func opensslReason() -> String {
        guard let text = ERR_reason_error_string(ERR_peek_last_error()) else {
            return "OpenSSL refuses it"
        }
        return "OpenSSL refuses it: " + String(cString: text)
    }
}

/// Who may have signed clients' certificates, shared by all contexts of a listener.
private struct Trust {
    let store: OpaquePointer
    let authorities: [OpaquePointer]

    /// Nil if the listener asks for no certificates.
    init?(_ options: TLSServerOptions) throws(TLSError) {
        guard options.clientCertificates != .none else {
            guard options.clientAuthorities == nil, options.revocationLists.isEmpty else {
                throw TLSLoader.failure(
                    "authorities for clients' certificates are given, but none are asked for",
                    "set client certificates to optional or required")
            }
            return nil
        }
        guard let file = options.clientAuthorities else {
            throw TLSLoader.failure(
                "clients' certificates are asked for, but nobody is trusted to sign them",
                "give a file of authorities")
        }
        guard let store = X509_STORE_new() else {
            throw TLSLoader.failure("OpenSSL gives no certificate store", "free memory")
        }
        self.store = store
        do {
            authorities = try TLSFile.certificates(
                file, "give the PEM certificates of the clients' authorities")
        } catch {
            X509_STORE_free(store)
            throw error
        }
        for authority in authorities { X509_STORE_add_cert(store, authority) }
        do {
            for list in options.revocationLists {
                try TLSFile.addRevocationLists(list, to: store)
            }
        } catch {
            free()
            throw error
        }
        if !options.revocationLists.isEmpty {
            X509_STORE_set_flags(store, UInt(X509_V_FLAG_CRL_CHECK))
        }
    }

    func apply(to context: OpaquePointer, _ options: TLSServerOptions) {
        var mode = SSL_VERIFY_PEER
        if options.clientCertificates == .required { mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT }
        SSL_CTX_set_verify(context, mode, nil)
        X509_STORE_up_ref(store)
        SSL_CTX_set_cert_store(context, store)
        for authority in authorities { SSL_CTX_add_client_CA(context, authority) }
    }

    func free() {
        for authority in authorities { X509_free(authority) }
        X509_STORE_free(store)
    }
}
