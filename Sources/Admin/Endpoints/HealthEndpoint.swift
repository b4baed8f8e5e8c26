import Base
import Broker

/// Whether the node is alive and whether it serves.
enum HealthEndpoint {
    /// The process runs and answers; nothing is asked of the loops.
    static func live(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        .json(["status": "ok"])
    }

    /// Whether clients should be sent here, and every reason why not.
    static func ready(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        let reasons = await reasons(request.client)
        let body: JSONValue = [
            "status": .text(reasons.isEmpty ? "ready" : "notReady"),
            "reasons": .list(
                reasons.map {
                    .object([
                        JSONMember("code", .text($0.code)), JSONMember("detail", .text($0.detail)),
                    ])
                }),
        ]
        return .json(body, status: reasons.isEmpty ? .ok : .serviceUnavailable)
    }

    private static func reasons(_ client: DoorClient) async -> [(code: String, detail: String)] {
        var reasons: [(code: String, detail: String)] = []
        var isDraining = false
        var isShort = false
        var leaderless: Set<String> = []
        for (place, answer) in await client.askAll(.health, within: AdminLimits.healthTime) {
            let loop = "loop \(place.worker.rawValue)"
            guard case .health(let health) = answer else {
                if answer == .refused(.stopped) {
                    isDraining = true
                } else {
                    reasons.append(("overloaded", "\(loop) does not answer in time"))
                }
                continue
            }
            isDraining = isDraining || health.isDraining
            isShort = isShort || health.isShortOfMemory
            leaderless.formUnion(health.leaderless)
            if health.isLate { reasons.append(("overloaded", "\(loop) is late")) }
        }
        if isDraining { reasons.append(("draining", "the node is stopping")) }
        if isShort { reasons.append(("overloaded", "the node is short of memory")) }
        for range in leaderless.sorted() {
            reasons.append(("rangeWithoutLeader", "\(range) has no leader"))
        }
        return reasons
    }
}
