import Base
import Broker
import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import Policy

/// Where and how the HTTP port is served.
package struct AdminOptions: Sendable {
    package var address: ListenAddress
    package var requestTime = AdminLimits.requestTime
    package var idleTime = AdminLimits.idleTime
    package var connectionsMax = AdminLimits.connectionsMax

    package init(address: ListenAddress) { self.address = address }
}

/// Why the port cannot be served.
package enum AdminError: Error, Equatable, CustomStringConvertible {
    /// Reachable from elsewhere, and no key would be asked for.
    case needsKeys(String)
    case cannotListen(String, String)

    package var description: String {
        switch self {
        case .needsKeys(let address):
            "listener for HTTP on \(address): beyond loopback API keys are needed; "
                + "make one with `apus apikey FILE NAME` and set admin.apiKeyFile"
        case .cannotListen(let address, let reason):
            "listener for HTTP on \(address): \(reason)"
        }
    }
}

/// The HTTP port of a node: health, metrics and the API, on one thread of its own and Swift's pool.
///
/// Made and stopped by the thread that starts the node. Touches no loop: everything goes through
/// the node's query door. Bounded by `AdminLimits`.
package final class AdminServer {
    private let group: MultiThreadedEventLoopGroup
    private let task: Task<Void, Never>
    /// The server has closed what it had open.
    private let ended: EventLoopPromise<Void>
    /// Where it is bound, with the port that the kernel chose.
    package let address: String

    /// The OpenAPI document.
    package static var openAPI: [UInt8] { PackageResources.openapi_json }

    /// Binds and serves. Blocks until the port is open.
    package init(
        _ options: AdminOptions, door: QueryDoor, state: AdminState
    ) throws(AdminError) {
        let isLocal = options.address.isLocal
        if !isLocal, state.keyTable.isEmpty { throw .needsKeys("\(options.address)") }
        let responder = AdminResponder(
            door: door, state: state, requestTime: options.requestTime, isLocal: isLocal)
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let started = group.next().makePromise(of: String?.self)
        let ended = group.next().makePromise(of: Void.self)
        self.ended = ended
        let service = Self.service(options, responder, group, started)
        task = Task {
            do {
                try await service.run()
                started.fail(CancellationError())
            } catch {
                started.fail(error)
            }
            ended.succeed()
        }
        do {
            address = try started.futureResult.wait() ?? "\(options.address)"
        } catch {
            Self.end(task, ended, group)
            throw .cannotListen("\(options.address)", "\(error)")
        }
    }

    private static func service(
        _ options: AdminOptions, _ responder: AdminResponder, _ group: any EventLoopGroup,
        _ started: EventLoopPromise<String?>
    ) -> Server<HTTP1Channel> {
        var logger = Logger(label: "admin") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        let bind: BindAddress =
            switch options.address {
            case .ip(let ip, let port): .hostname("\(ip)", port: Int(port))
            case .unix(let path): .unixDomainSocket(path: path)
            }
        let channel = HTTP1Channel(
            responder: { request, writer, channel in
                try await responder.respond(request, writer, channel)
            },
            configuration: HTTP1Channel.Configuration(
                idleTimeout: .nanoseconds(options.idleTime.nanoseconds),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: AdminLimits.headerBytesMax,
                    maxHeaderListSize: AdminLimits.headerBytesMax,
                    maxHeaderFieldCount: AdminLimits.headerFieldsMax)))
        return Server(
            childChannelSetup: channel,
            configuration: ServerConfiguration(
                address: bind, backlog: AdminLimits.backlog,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    options.connectionsMax, logger: logger)),
            onServerRunning: { channel in
                started.succeed(
                    channel.localAddress.flatMap { address in
                        guard let ip = address.ipAddress, let port = address.port else {
                            return nil
                        }
                        return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
                    })
            }, eventLoopGroup: group, logger: logger)
    }

    /// Closes the port and every connection to it.
    package func stop() { Self.end(task, ended, group) }

    private static func end(
        _ task: Task<Void, Never>, _ ended: EventLoopPromise<Void>,
        _ group: MultiThreadedEventLoopGroup
    ) {
        task.cancel()
        // A client that neither reads nor leaves does not hold the process up.
        group.next().scheduleTask(in: .nanoseconds(AdminLimits.stopTime.nanoseconds)) {
            ended.succeed()
        }
        try? ended.futureResult.wait()
        try? group.syncShutdownGracefully()
    }
}
