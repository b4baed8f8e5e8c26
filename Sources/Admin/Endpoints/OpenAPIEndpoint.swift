/// The description of the port.
enum OpenAPIEndpoint {
    static func document(_ request: AdminRequest) async throws(Problem) -> HTTPAnswer {
        HTTPAnswer(status: .ok, contentType: "application/json", body: AdminServer.openAPI)
    }
}
