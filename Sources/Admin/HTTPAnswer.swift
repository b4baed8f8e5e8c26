import Base
import HTTPTypes

/// What a request is answered: status, a few headers, and the whole body.
struct HTTPAnswer: Sendable {
    var status: HTTPResponse.Status
    var contentType: String?
    var headers: [(name: HTTPField.Name, value: String)] = []
    var body: [UInt8] = []
    /// The connection ends with it: what the client still sends is not worth reading.
    var endsConnection = false

    static func json(
        _ value: JSONValue, status: HTTPResponse.Status = .ok
    ) -> HTTPAnswer {
        HTTPAnswer(status: status, contentType: "application/json", body: value.encoded)
    }

    static func text(_ text: String, contentType: String) -> HTTPAnswer {
        HTTPAnswer(status: .ok, contentType: contentType, body: Array(text.utf8))
    }

    static let nothing = HTTPAnswer(status: .noContent, contentType: nil)
}

/// An error in the one shape of the API: RFC 9457, `application/problem+json`.
struct Problem: Error, Sendable {
    var status: HTTPResponse.Status
    /// Stable, for programs.
    var code: String
    /// For people.
    var detail: String
    var headers: [(name: HTTPField.Name, value: String)] = []
    var endsConnection = false

    init(_ status: HTTPResponse.Status, _ code: String, _ detail: String) {
        self.status = status
        self.code = code
        self.detail = detail
    }

    static func badRequest(_ code: String, _ detail: String) -> Problem {
        Problem(.badRequest, code, detail)
    }

    static let busy = Problem(
        .serviceUnavailable, "busy", "too many requests are being carried out"
    ).retryAfterOneSecond

    var retryAfterOneSecond: Problem {
        var problem = self
        problem.headers.append((name: .retryAfter, value: "1"))
        return problem
    }

    var endingConnection: Problem {
        var problem = self
        problem.endsConnection = true
        return problem
    }

    var answer: HTTPAnswer {
        let body: JSONValue = [
            "type": "about:blank", "title": .text(status.reasonPhrase),
            "status": .integer(status.code), "code": .text(code), "detail": .text(detail),
        ]
        return HTTPAnswer(
            status: status, contentType: "application/problem+json", headers: headers,
            body: body.encoded, endsConnection: endsConnection)
    }
}
