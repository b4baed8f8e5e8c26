import Base
import COpenSSL

/// Reading PEM files with errors that an operator can act on.
enum TLSFile {
    /// Bytes of one file: certificates and keys are small, revocation lists may be long.
    static let bytesMax = 16 << 20

    static func read(_ path: String, _ remedy: String) throws(TLSError) -> [UInt8] {
        do throws(FileError) {
            return try FileBytes.read(path, limit: bytesMax)
        } catch {
            throw TLSError(file: path, problem: error.problem, remedy: remedy)
        }
    }

    /// Calls `body` with a BIO over the bytes.
    private static func withMemory<R>(_ bytes: [UInt8], _ body: (OpaquePointer?) -> R) -> R {
        bytes.withUnsafeBytes { buffer in
            let memory = apus_tls_memory(buffer.baseAddress, Int32(buffer.count))
            defer {
                BIO_free(memory)
                ERR_clear_error()
            }
            return body(memory)
        }
    }

    /// All certificates of a file, in order; the caller frees them.
    static func certificates(_ path: String, _ remedy: String) throws(TLSError) -> [OpaquePointer] {
        let bytes = try read(path, remedy)
        let certificates = withMemory(bytes) { memory in
            var certificates: [OpaquePointer] = []
            while let next = PEM_read_bio_X509(memory, nil, nil, nil) { certificates.append(next) }
            return certificates
        }
        guard !certificates.isEmpty else {
            throw TLSError(file: path, problem: "no PEM certificate in it", remedy: remedy)
        }
        return certificates
    }

    /// The private key of a file; the caller frees it.
    static func key(_ files: TLSCertificateFiles) throws(TLSError) -> OpaquePointer {
        let remedy = "give the PEM private key of \(files.chain)"
        let bytes = try read(files.key, remedy)
        let password = Array((files.keyPassword ?? "").utf8CString)
        let key = withMemory(bytes) { memory in
            password.withUnsafeBufferPointer { password in
                // Without a callback OpenSSL takes the user argument for the password.
                PEM_read_bio_PrivateKey(
                    memory, nil, nil, UnsafeMutableRawPointer(mutating: password.baseAddress))
            }
        }
        guard let key else {
            let isEncrypted = String(decoding: bytes, as: UTF8.self).contains("ENCRYPTED")
            throw TLSError(
                file: files.key,
                problem: isEncrypted
                    ? "the key is encrypted and the password does not open it"
                    : "no PEM private key in it",
                remedy: isEncrypted ? "give the right key password" : remedy)
        }
        return key
    }

    /// Adds a file's revocation lists to a store.
    static func addRevocationLists(_ path: String, to store: OpaquePointer) throws(TLSError) {
        let remedy = "give a PEM revocation list of the clients' authority"
        let bytes = try read(path, remedy)
        let count = withMemory(bytes) { memory in
            var count = 0
            while let list = PEM_read_bio_X509_CRL(memory, nil, nil, nil) {
                if X509_STORE_add_crl(store, list) == 1 { count += 1 }
                X509_CRL_free(list)
            }
            return count
        }
        guard count > 0 else {
            throw TLSError(file: path, problem: "no PEM revocation list in it", remedy: remedy)
        }
    }
}
