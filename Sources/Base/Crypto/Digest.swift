import COpenSSL

/// Hash functions of OpenSSL, one call for one value.
///
/// For handshakes, fingerprints and passwords, not for tables (`TableHash`) or keys on disk
/// (`BucketHash`): a call allocates its result.
package enum Digest {
    /// 20 bytes. Only where a protocol asks for it (the WebSocket handshake): it is broken as a
    /// protection.
    package static func sha1(_ bytes: RawSpan) -> [UInt8] { run(bytes, EVP_sha1(), count: 20) }

    /// 20 bytes; see `sha1(_:)` of a span.
    package static func sha1(_ bytes: [UInt8]) -> [UInt8] { bytes.withRawSpan { sha1($0) } }

    /// 32 bytes.
    package static func sha256(_ bytes: RawSpan) -> [UInt8] { run(bytes, EVP_sha256(), count: 32) }

    /// 32 bytes.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { bytes.withRawSpan { sha256($0) } }

    private static func run(_ bytes: RawSpan, _ function: OpaquePointer?, count: Int) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: count)
        let status = bytes.withUnsafeBytes { input in
            digest.withUnsafeMutableBufferPointer { output in
                EVP_Digest(
                    input.baseAddress, input.count, output.baseAddress, nil, function, nil)
            }
        }
        invariant(status == 1, "OpenSSL refused a hash of \(bytes.byteCount) bytes")
        return digest
    }
}
