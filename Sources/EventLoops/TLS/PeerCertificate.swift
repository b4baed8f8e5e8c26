import Base
import COpenSSL

/// The certificate that a peer has proved to own, for authentication. A copy, free of the
/// connection.
package struct PeerCertificate: Equatable, Sendable {
    /// The whole certificate in DER.
    package let der: [UInt8]
    /// SHA-256 of `der`, in lower-case hexadecimal digits.
    package let fingerprint: String
    /// The last common name of the subject; nil if there is none or it holds a null character.
    package let commonName: String?
    /// The last organisation and unit of the subject, likewise.
    package let organization: String?
    package let organizationalUnit: String?
    /// The subject as RFC 2253 writes it, for example `CN=sensor 7,O=Example`.
    package let subject: String
    package let issuer: String
    /// Serial number in lower-case hexadecimal digits.
    package let serial: String
    /// Subject alternative names, by kind. Names with null characters are left out.
    package let dnsNames: [String]
    package let emails: [String]
    package let uris: [String]
    package let addresses: [IPAddress]

    /// Nil if OpenSSL cannot encode the certificate it has just verified: out of memory.
    init?(_ certificate: OpaquePointer) {
        let count = i2d_X509(certificate, nil)
        guard count > 0 else { return nil }
        var der = [UInt8](repeating: 0, count: Int(count))
        let written = der.withUnsafeMutableBufferPointer { buffer in
            var target = buffer.baseAddress
            return i2d_X509(certificate, &target)
        }
        guard written == count else { return nil }
        self.der = der
        fingerprint = Self.hexadecimal(Digest.sha256(der))
        let subjectName = X509_get_subject_name(certificate)
        commonName = Self.field(NID_commonName, of: subjectName)
        organization = Self.field(NID_organizationName, of: subjectName)
        organizationalUnit = Self.field(NID_organizationalUnitName, of: subjectName)
        subject = Self.text(subjectName)
        issuer = Self.text(X509_get_issuer_name(certificate))
        serial = Self.serial(certificate)
        let names = AlternativeNames(certificate)
        dnsNames = names.dns
        emails = names.emails
        uris = names.uris
        addresses = names.addresses
    }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
            as: UTF8.self)
    }

    private static func serial(_ certificate: OpaquePointer) -> String {
        guard let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nil) else {
            return ""
        }
        defer { BN_free(number) }
        guard let text = BN_bn2hex(number) else { return "" }
        defer { CRYPTO_free(text, nil, 0) }
        return String(cString: text).lowercased()
    }

    private static func text(_ name: OpaquePointer?) -> String {
        guard let memory = BIO_new(BIO_s_mem()) else { return "" }
        defer { BIO_free(memory) }
        guard X509_NAME_print_ex(memory, name, 0, apus_tls_name_form()) >= 0 else { return "" }
        var bytes: UnsafeMutablePointer<CChar>?
        let count = apus_tls_memory_contents(memory, &bytes)
        return String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    private static func field(_ kind: Int32, of subject: OpaquePointer?) -> String? {
        var index: Int32 = -1
        while true {
            let next = X509_NAME_get_index_by_NID(subject, kind, index)
            if next < 0 { break }
            index = next
        }
        guard index >= 0, let entry = X509_NAME_get_entry(subject, index) else { return nil }
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(entry))
        guard count >= 0, let bytes else { return nil }
        defer { CRYPTO_free(bytes, nil, 0) }
        let name = UnsafeBufferPointer(start: bytes, count: Int(count))
        return name.contains(0) ? nil : String(validating: name, as: UTF8.self)
    }
}

/// The subject alternative names of a certificate.
struct AlternativeNames {
    var dns: [String] = []
    var emails: [String] = []
    var uris: [String] = []
    var addresses: [IPAddress] = []

    init(_ certificate: OpaquePointer) {
        guard let names = apus_tls_alternative_names(certificate) else { return }
        defer { GENERAL_NAMES_free(names) }
        for index in 0..<apus_tls_name_count(names) {
            var start: UnsafePointer<UInt8>?
            var count: Int32 = 0
            let type = apus_tls_name(names, index, &start, &count)
            add(type, Array(UnsafeBufferPointer(start: start, count: Int(count))))
        }
    }

    private mutating func add(_ type: Int32, _ bytes: [UInt8]) {
        // These are IA5 strings: a null character inside is an attempt to deceive.
        let text = bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
        switch type {
        case GEN_DNS: text.map { dns.append($0) }
        case GEN_EMAIL: text.map { emails.append($0) }
        case GEN_URI: text.map { uris.append($0) }
        case GEN_IPADD: Self.address(bytes).map { addresses.append($0) }
        default: break
        }
    }

    private static func address(_ bytes: [UInt8]) -> IPAddress? {
        func number(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: return IPAddress(v4: UInt32(number(bytes[...])))
        case 16: return IPAddress(high: number(bytes[..<8]), low: number(bytes[8...]))
        default: return nil
        }
    }
}
