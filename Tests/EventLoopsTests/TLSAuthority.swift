import Base
import EventLoops
import TestKit
import Testing

/// A certificate authority for one test, made with the `openssl` program.
final class TLSAuthority: Sendable {
    let directory: TemporaryDirectory

    /// PEM of the authority's own certificate.
    var certificate: String { directory.file("ca.pem") }
    var key: String { directory.file("ca.key") }

    init(_ name: String = "Test authority") throws {
        directory = try TemporaryDirectory("tls")
        try directory.write(
            """
            [req]
            distinguished_name = dn
            [dn]
            [v3_ca]
            basicConstraints = critical,CA:TRUE
            keyUsage = critical,keyCertSign,cRLSign
            subjectKeyIdentifier = hash
            [ca]
            default_ca = here
            [here]
            database = index.txt
            crlnumber = crlnumber
            default_md = sha256
            default_crl_days = 30
            """, to: "openssl.cnf")
        try directory.write("", to: "index.txt")
        try directory.write("01\n", to: "crlnumber")
        try run([
            "req", "-x509", "-config", "openssl.cnf", "-extensions", "v3_ca", "-newkey", "ec",
            "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
            "ca.pem", "-days", "30", "-subj", "/CN=\(name)",
        ])
    }

    /// A certificate for `name`, with subject alternative names as openssl writes them.
    func issue(
        _ name: String, alternatives: String? = nil, days: Int = 10, subject: String? = nil
    ) throws -> TLSCertificateFiles {
        let file = name.replacing("*", with: "wildcard").replacing("/", with: "-")
        try run([
            "req", "-new", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", "\(file).key", "-out", "\(file).csr",
            "-subj", subject ?? "/O=Example/CN=\(name)",
        ])
        try directory.write(
            alternatives.map { "subjectAltName=\($0)\n" } ?? "basicConstraints=CA:FALSE\n",
            to: "\(file).ext")
        try run([
            "x509", "-req", "-in", "\(file).csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "\(file).pem", "-days", "\(days)", "-extfile",
            "\(file).ext",
        ])
        return TLSCertificateFiles(
            chain: directory.file("\(file).pem"), key: directory.file("\(file).key"))
    }

    /// A revocation list; `revoked` are certificates of this authority.
    func revocationList(_ name: String, revoked: [TLSCertificateFiles]) throws -> String {
        for files in revoked {
            try run([
                "ca", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
                "-revoke", files.chain,
            ])
        }
        try run([
            "ca", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-gencrl",
            "-out", "\(name).crl",
        ])
        return directory.file("\(name).crl")
    }

    func run(_ arguments: [String]) throws {
        let child = try ChildProcess(
            path: "/usr/bin/env", arguments: ["-C", directory.path, "openssl"] + arguments)
        let status = child.waitForExit(within: .seconds(30))
        try #require(status == 0, "openssl \(arguments): \(child.output)")
    }
}
