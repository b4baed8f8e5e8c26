import Admin
import Base
import Broker
import Policy

/// The HTTP listeners of a node, all with the same keys.
final class AdminPorts {
    private let state: AdminState
    private var servers: [AdminServer] = []
    /// Name and bound address of each, in the order of the configuration.
    private(set) var listeners: [(name: String, address: String)] = []

    /// `keys` were read beforehand, so that a broken file stops the start before anything serves.
    init(
        _ configuration: Configuration, door: QueryDoor, keys: APIKeyTable
    ) throws(AdminError) {
        state = AdminState(
            version: Release.version, startedAtMilliseconds: Clocks.wall.milliseconds,
            keys: keys, bodyBytesMax: configuration.admin.bodyBytesMax)
        for listener in configuration.listeners where listener.kind == .http {
            do throws(AdminError) {
                let server = try AdminServer(
                    AdminOptions(address: listener.address), door: door, state: state)
                servers.append(server)
                listeners.append((listener.name, server.address))
            } catch {
                stop()
                throw error
            }
        }
    }

    /// The file is read anew; if it is broken the old keys stay in force.
    func reload(_ configuration: Configuration) throws(PolicyFileError) {
        state.reload(
            keys: try APIKeyTable.read(configuration.admin.apiKeyFile),
            bodyBytesMax: configuration.admin.bodyBytesMax)
    }

    func stop() {
        for server in servers { server.stop() }
        servers = []
    }
}
