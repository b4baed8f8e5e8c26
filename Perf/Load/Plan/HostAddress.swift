import Base
import Glibc

/// The address of a host: written out, or as the system's resolver knows it.
package enum HostAddress {
    package static func resolve(_ host: String) throws -> IPAddress {
        if let address = IPAddress(host) { return address }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, nil, &hints, &found)
        defer { if let found { freeaddrinfo(found) } }
        guard result == 0, let address = found?.pointee.ai_addr else {
            throw ScenarioError("\(host): \(String(cString: gai_strerror(result)))")
        }
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        getnameinfo(
            address, found?.pointee.ai_addrlen ?? 0, &text, socklen_t(text.count), nil, 0,
            NI_NUMERICHOST)
        let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self)
        guard let resolved = IPAddress(name) else {
            throw ScenarioError("\(host) resolves to \(name), which is no address of ours")
        }
        return resolved
    }
}
