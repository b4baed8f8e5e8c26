import Base
import Dist
import Inbox

/// Routes in dist: how those of a session look, and what comes of adding or removing one.
extension Worker {
    func transientRoute(
        _ tenant: [UInt8], _ filter: [UInt8], _ token: FilterToken
    ) -> Route {
        let receiver = RouteReceiver.transient(place: place, epoch: epoch, token: token.rawValue)
        if let shared = SharedName(filter) {
            return Route(
                tenant: tenant, filter: shared.filter, group: shared.group, receiver: receiver)
        }
        return Route(tenant: tenant, filter: filter, receiver: receiver)
    }

    func storedRoute(
        _ name: SessionName, _ incarnation: UInt64, _ filter: [UInt8], _ options: UInt8,
        _ subscriptionID: UInt32
    ) -> Route {
        let receiver = RouteReceiver.stored(
            clientID: name.clientID, incarnation: incarnation, options: options,
            subscriptionID: subscriptionID)
        if let shared = SharedName(filter) {
            return Route(
                tenant: name.tenant, filter: shared.filter, group: shared.group,
                receiver: receiver)
        }
        return Route(tenant: name.tenant, filter: filter, receiver: receiver)
    }

    func changeRoute(
        _ route: Route, _ operation: Operation, _ write: (inout RouteCommandEncoder) -> Void
    ) -> Bool {
        var encoder = RouteCommandEncoder()
        write(&encoder)
        let key = DistKeys.routingKey(tenant: route.tenant, filter: route.filter)
        return propose(.dist, key, operation) { $0.append(encoder.writer.bytes) }
    }

    /// False if the removal was refused.
    @discardableResult
    func removeRoute(_ vacated: FilterTable.Vacated) -> Bool {
        let tenant = tenantNames[Int(vacated.tenant)]
        let route = transientRoute(tenant, vacated.filter, vacated.token)
        let accepted = changeRoute(route, .routeRemoval) { $0.remove(route) }
        // A route that stays behind leads to a token that nobody has: it costs, but delivers
        // nothing. It goes with the node's epoch.
        if !accepted { metrics.routesLeftBehind &+= 1 }
        return accepted
    }

    /// A route holds everywhere, or was refused.
    func routeDone(_ task: SubscribeTask, _ position: Int, _ result: [UInt8]?) {
        let code = result?.withRawSpan { RouteResultDecoder.codes($0) }?.first
        if task.isSubscribe, code?.isDone != true {
            task.entries[position].code =
                code == .groupFull ? .quotaExceeded : .implementationSpecificError
            task.entries[position].intent = 0
        }
        withSession(task.session) { session, _ in
            if task.isSubscribe || code?.isDone == true {
                reportRoute(task, position, session)
            } else {
                reportLeftBehind(task.entries[position].filter, session)
            }
        }
        arrived(task)
    }

    func reportLeftBehind(_ filter: [UInt8], _ session: UnsafeMutablePointer<Session>) {
        report(.unmatchError, session) {
            .dist(
                .unmatchError(
                    filter: String(decoding: filter, as: UTF8.self),
                    receiver: String(decoding: session.pointee.clientID, as: UTF8.self),
                    reason: "the route's removal was refused"))
        }
    }
}
