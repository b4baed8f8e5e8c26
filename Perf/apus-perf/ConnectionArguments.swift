import ArgumentParser
import Base
import EventLoops
import MQTT
import PerfLoad

/// How clients reach the broker: the letters are emqtt_bench's.
struct ConnectionArguments: ParsableArguments {
    @Option(name: [.short, .long], help: "Broker's name or address; several by comma.")
    var host = "127.0.0.1"

    @Option(name: [.short, .long], help: "Port (1883; 8883 with -S, 8083 with --ws, 8084 both).")
    var port: UInt16?

    @Option(name: [.customShort("V"), .customLong("version")], help: "Protocol: 3, 4 or 5.")
    var version: UInt8 = 4

    @Option(name: [.customShort("u"), .long], help: "User name; may hold %i.")
    var username: String?

    @Option(name: [.customShort("P"), .long], help: "Password.")
    var password: String?

    @Option(name: [.short, .customLong("keepalive")], help: "Keep alive in seconds.")
    var keepAlive: UInt16 = 300

    @Option(
        name: [.customShort("R"), .customLong("connrate")],
        help: "Connections opened a second, 0 for as many as go.")
    var connectsPerSecond = 0.0

    @Option(
        name: [.short, .long], help: "Milliseconds between two connections, instead of -R.")
    var interval: Double?

    @Option(help: "Connections being opened at once, on each loop.")
    var inFlightConnects = 64

    @Option(
        name: .customLong("num-retry-connect"), help: "How often a client is opened again.")
    var retries = 0

    @Option(name: .customLong("ifaddr"), help: "Our own addresses, by comma, taken in turn.")
    var sources: String?

    @Flag(name: [.customShort("S"), .customLong("ssl")], help: "TLS.")
    var usesTLS = false

    @Option(
        name: .customLong("cacertfile"), help: "PEM of the authorities that are trusted.")
    var authorities: String?

    @Option(name: .customLong("certfile"), help: "PEM of our own certificate.")
    var certificate: String?

    @Option(name: .customLong("keyfile"), help: "PEM of our own key.")
    var key: String?

    @Option(name: .customLong("server-name"), help: "What the server's certificate must bear.")
    var serverName: String?

    @Flag(help: "Takes any certificate.")
    var insecure = false

    @Flag(name: .customLong("ws"), help: "WebSocket.")
    var usesWebSocket = false

    @Option(name: .customLong("ws-path"), help: "Path of the WebSocket.")
    var webSocketPath = "/mqtt"

    /// Everything about the way to the broker.
    func target() throws -> TargetOptions {
        let hosts = host.split(separator: ",").map(String.init)
        let addresses = try hosts.map { host -> ListenerAddress in
            if host.hasPrefix("/") { return .unix(path: host) }
            return .ip(PeerAddress(try HostAddress.resolve(host), port: chosenPort))
        }
        var target = TargetOptions(addresses: addresses)
        guard let version = ProtocolVersion(rawValue: version) else {
            throw ValidationError("-V is 3, 4 or 5")
        }
        target.version = version
        target.username = username.map { TextPattern($0) }
        target.password = password
        target.keepAlive = keepAlive
        target.retries = retries
        target.serverName = serverName ?? hosts.first ?? host
        if usesWebSocket { target.webSocketPath = webSocketPath }
        if usesTLS { target.tls = tlsOptions() }
        target.sources = try (sources ?? "").split(separator: ",").map { text in
            guard let address = IPAddress(text) else {
                throw ValidationError("\(text) is no address")
            }
            return address
        }
        return target
    }

    private var chosenPort: UInt16 {
        if let port { return port }
        switch (usesTLS, usesWebSocket) {
        case (false, false): return 1883
        case (true, false): return 8883
        case (false, true): return 8083
        case (true, true): return 8084
        }
    }

    private func tlsOptions() -> TLSClientOptions {
        var options = TLSClientOptions(authorities: authorities)
        options.verifiesServer = !insecure
        if let certificate, let key {
            options.certificate = TLSCertificateFiles(chain: certificate, key: key)
        }
        return options
    }
}
