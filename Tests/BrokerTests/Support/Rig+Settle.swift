import Simulation

extension Rig {
    /// Runs until `condition` holds for clients that take what they are sent; false if it never
    /// does in so many turns.
    func settle(
        _ clients: [RigClient], _ limit: Int = 4_000, until condition: () -> Bool
    ) -> Bool {
        run(limit) {
            for client in clients { client.receive() }
            return condition()
        }
    }
}
