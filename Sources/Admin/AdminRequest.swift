import Base
import Broker
import HTTPTypes
import Policy

/// One request on its way through an endpoint: what was asked, and the door to ask.
struct AdminRequest: Sendable {
    let target: RequestTarget
    /// Decoded segments that stand where the route's path has names.
    var parameters: [String] = []
    let body: [UInt8]
    let contentType: String?
    let client: DoorClient
    let admin: AdminState

    /// The tenant that the query names, or the standard one.
    func tenant() throws(Problem) -> TenantName {
        guard let text = query("tenant") else { return .standard }
        guard let tenant = TenantName(text) else {
            throw .badRequest("tenantInvalid", "'tenant' is no tenant's name")
        }
        return tenant
    }

    func query(_ name: String) -> String? { target.query.first { $0.name == name }?.value }

    func flag(_ name: String) throws(Problem) -> Bool? {
        guard let text = query(name) else { return nil }
        guard text == "true" || text == "false" else {
            throw .badRequest("queryInvalid", "'\(name)' must be true or false")
        }
        return text == "true"
    }

    func limit() throws(Problem) -> Int {
        guard let text = query("limit") else { return AdminLimits.pageDefault }
        guard let limit = Int(text), (1...AdminLimits.pageMax).contains(limit) else {
            throw .badRequest("queryInvalid", "'limit' must be 1 to \(AdminLimits.pageMax)")
        }
        return limit
    }

    /// Refuses parameters that the endpoint does not know: most likely a typing error.
    func allowQuery(_ names: String...) throws(Problem) {
        for (name, _) in target.query where !names.contains(name) {
            throw .badRequest("queryInvalid", "there is no parameter '\(name)' here")
        }
    }

    /// The body as a JSON object with no members but these.
    func object(_ names: Set<String>) throws(Problem) -> JSONValue {
        // A browser sends this type to another origin only after asking, and is told no.
        let type = contentType?.split(separator: ";").first.map {
            $0.filter { $0 != " " }.lowercased()
        }
        guard type == "application/json" else {
            throw Problem(
                .unsupportedMediaType, "contentTypeInvalid",
                "the body must be sent as application/json")
        }
        let document: JSONValue
        do throws(JSONError) {
            document = try JSONReader.decode(body)
        } catch {
            throw .badRequest("jsonInvalid", "\(error.problem), at byte \(error.offset)")
        }
        guard let members = document.members else {
            throw .badRequest("jsonInvalid", "the body must be a JSON object")
        }
        for member in members where !names.contains(member.name) {
            throw .badRequest("memberUnknown", "there is no member '\(member.name)' here")
        }
        return document
    }
}

extension JSONValue {
    func text(_ name: String) throws(Problem) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.text else { throw .member(name, "a string") }
        return text
    }

    func flag(_ name: String) throws(Problem) -> Bool? {
        guard let value = self[name] else { return nil }
        guard let flag = value.flag else { throw .member(name, "true or false") }
        return flag
    }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let value = self[name] else { return nil }
        guard let number = value.integer, range.contains(number) else {
            throw .member(name, "an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Bytes in base64.
    func bytes(_ name: String) throws(Problem) -> [UInt8]? {
        guard let text = try text(name) else { return nil }
        guard let bytes = Base64.decode(Array(text.utf8)) else { throw .member(name, "base64") }
        return bytes
    }
}

extension Problem {
    static func member(_ name: String, _ valid: String) -> Problem {
        .badRequest("memberInvalid", "'\(name)' must be \(valid)")
    }
}
