import Base
import Broker
import MQTT
import Policy

/// Publishing on the node's behalf. The answer comes when the outcome is known: with QoS 1 and 2
/// every receiver has the message stored, or in its queue, by then.
enum PublishEndpoint {
    private static let members: Set<String> = [
        "tenant", "topic", "qos", "retain", "payload", "payloadBase64", "messageExpiryInterval",
        "payloadFormatIndicator", "contentType", "responseTopic", "correlationDataBase64",
        "userProperties",
    ]

    static func publish(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        try request.allowQuery()
        let document = try request.object(members)
        let publish = try DoorPublish(document)
        // The topic chooses the worker, so that what is published in order arrives in order.
        let topic = BucketHash.hash(publish.message.topic)
        guard
            case .published(let outcome) = try await request.client.demand(
                .publish(publish), .any(topic))
        else { throw Problem(.unavailable) }
        switch outcome {
        case .delivered: return .json(["outcome": "delivered"])
        case .noMatchingSubscribers: return .json(["outcome": "noMatchingSubscribers"])
        case .refused(let code): throw Problem(code)
        }
    }
}

extension DoorPublish {
    init(_ document: JSONValue) throws(Problem) {
        guard let tenant = TenantName(try document.text("tenant") ?? TenantName.standard.text)
        else { throw .badRequest("tenantInvalid", "'tenant' is no tenant's name") }
        guard let topic = try document.text("topic") else {
            throw .badRequest("memberMissing", "'topic' is missing")
        }
        var message = DoorMessage(topic: Array(topic.utf8))
        guard message.topic.count <= 0xFFFF else { throw Problem(.topicInvalid) }
        message.publisher = Array("$api".utf8)
        message.qos = QoS(rawValue: UInt8(try document.integer("qos", 0...2) ?? 0)) ?? .atMostOnce
        message.retain = try document.flag("retain") ?? false
        message.expirySeconds = try document.integer(
            "messageExpiryInterval", 0...Int(UInt32.max)
        ).map { UInt32($0) }
        guard document["payload"] == nil || document["payloadBase64"] == nil else {
            throw .badRequest("memberInvalid", "'payload' and 'payloadBase64' exclude each other")
        }
        let text = try document.text("payload") ?? ""
        message.payload = try document.bytes("payloadBase64") ?? Array(text.utf8)
        message.properties = try DoorProperties(document)
        self.init(tenant: tenant, message: message)
    }
}

extension DoorProperties {
    init(_ document: JSONValue) throws(Problem) {
        self.init()
        payloadFormat = try document.integer("payloadFormatIndicator", 0...1).map { UInt8($0) }
        contentType = try document.text("contentType").map { Array($0.utf8) }
        responseTopic = try document.text("responseTopic").map { Array($0.utf8) }
        correlationData = try document.bytes("correlationDataBase64")
        if let value = document["userProperties"] {
            guard let items = value.list else { throw .member("userProperties", "a list") }
            for item in items { userProperties.append(try Pair(item)) }
        }
        // The wire has two bytes for a length.
        let parts =
            userProperties.flatMap { [$0.name, $0.value] }
            + [contentType, responseTopic, correlationData].compactMap { $0 }
        guard parts.allSatisfy({ $0.count <= 0xFFFF }) else { throw Problem(.propertyInvalid) }
    }

    /// As the API shows them.
    var members: [JSONMember] {
        var members: [JSONMember] = []
        if let payloadFormat {
            members.append(JSONMember("payloadFormatIndicator", .integer(Int(payloadFormat))))
        }
        if let contentType {
            members.append(JSONMember("contentType", .text(contentType.text)))
        }
        if let responseTopic {
            members.append(JSONMember("responseTopic", .text(responseTopic.text)))
        }
        if let correlationData {
            members.append(JSONMember("correlationDataBase64", .text(correlationData.base64)))
        }
        if !userProperties.isEmpty {
            let pairs = userProperties.map { pair -> JSONValue in
                ["name": .text(pair.name.text), "value": .text(pair.value.text)]
            }
            members.append(JSONMember("userProperties", .list(pairs)))
        }
        return members
    }
}

extension DoorProperties.Pair {
    init(_ item: JSONValue) throws(Problem) {
        guard let members = item.members, members.count == 2, let name = item["name"]?.text,
            let value = item["value"]?.text
        else {
            throw .member("userProperties", "a list of objects with 'name' and 'value'")
        }
        self.init(name: Array(name.utf8), value: Array(value.utf8))
    }
}

extension [UInt8] {
    /// As text; what is not UTF-8 is repaired.
    var text: String { String(decoding: self, as: UTF8.self) }
    var base64: String { String(decoding: Base64.encode(self), as: UTF8.self) }
}

extension Problem {
    /// A publish that was refused with a reason code of MQTT.
    init(_ code: ReasonCode) {
        if code == .quotaExceeded {
            self.init(DoorRefusal.quotaExceeded)
        } else if code == .implementationSpecificError {
            self.init(DoorRefusal.unavailable)
        } else {
            self.init(.unprocessableContent, "\(code)", "the message was refused: \(code)")
        }
    }
}
