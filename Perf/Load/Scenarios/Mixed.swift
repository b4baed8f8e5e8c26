import Base
import MQTT

/// A day of an installation in small: telemetry, commands, alarms, and clients that only wait.
///
/// ```
///  80 % of the rate  telemetry  QoS 0, many publishers, few subscribers by wildcard
///  15 %              commands   QoS 1, publisher i to subscriber i
///   5 %              alarms     QoS 1, one publisher to every subscriber (counted by delivery)
///                    idle       connected, one subscription each, nothing to do
/// ```
package enum Mixed {
    /// The groups and the publishes a second of those that publish.
    package static func make(
        _ options: LoadOptions, devices: Int
    ) -> (groups: [ClientGroup], rates: [Int: Double]) {
        let quarter = max(devices / 4, 1)
        let half = max(devices / 2, 1)
        let rate = options.perSecond > 0 ? options.perSecond : 1000
        let few = max(half / 100, 1)
        var groups = [
            group(options, "dashboard", few, filter: "telemetry/%i/#"),
            group(options, "device", quarter, filter: "command/%i"),
            group(options, "console", few, filter: "alarm"),
            group(options, "idle", quarter, filter: "idle/%i"),
        ]
        groups[0].expectation = .dealt(first: 0, streams: half, among: few)
        groups[0].subscriptions[0].qos = .atMostOnce
        groups[1].expectation = .own(first: half)
        groups[2].expectation = .every(first: half + quarter, streams: 1)
        groups += [
            publishing(
                options, "sensor", half, topic: "telemetry/%mod_\(few)/%i", .atMostOnce, 0, 1),
            publishing(
                options, "commander", quarter, topic: "command/%i", .atLeastOnce, half, 1),
            publishing(
                options, "alarm", 1, topic: "alarm", .atLeastOnce, half + quarter, few),
        ]
        let alarms = max(rate * 0.05 / Double(few), 0.1)
        return (groups, [4: rate * 0.8, 5: rate * 0.15, 6: alarms])
    }

    private static func group(
        _ options: LoadOptions, _ name: String, _ count: Int, filter: String
    ) -> ClientGroup {
        var group = options.group(name, count)
        group.firstNumber = 0
        group.subscriptions = [
            SubscribePlan(
                filter: TextPattern("\(options.prefix)/\(filter)"), qos: .atLeastOnce)
        ]
        return group
    }

    private static func publishing(
        _ options: LoadOptions, _ name: String, _ count: Int, topic: String, _ qos: QoS,
        _ firstStream: Int, _ copies: Int
    ) -> ClientGroup {
        var group = options.group(name, count)
        group.firstNumber = 0
        var plan = options.publishPlan("\(options.prefix)/\(topic)", streams: count)
        plan.qos = qos
        plan.lag = 0
        plan.firstStream = firstStream
        plan.copies = copies
        group.publishing = plan
        return group
    }
}
