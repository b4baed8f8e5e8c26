import Base

/// The bounds of the HTTP port: what those who reach it may make a node hold.
package enum AdminLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    package static let connectionsMax = 256
    package static let backlog = 256
    /// Requests to the API being carried out at once; further ones are answered 503.
    package static let requestsMax = 64
    /// Bytes and number of header fields of one request.
    package static let headerBytesMax = 16 << 10
    package static let headerFieldsMax = 100
    /// Bytes of a request's path and query.
    package static let targetBytesMax = 8 << 10
    /// From the end of a request's head to the end of its answer.
    package static let requestTime = Duration.seconds(15)
    /// Without a complete head for so long, a connection is closed.
    package static let idleTime = Duration.seconds(10)
    /// How long a worker may take to say that it serves.
    package static let healthTime = Duration.milliseconds(1_000)
    /// How long a connection that is refused may read its answer.
    package static let lingerTime = Duration.milliseconds(500)
    /// How long connections may take to end when the port is closed.
    package static let stopTime = Duration.seconds(2)
    /// Items in one page, asked for or not.
    package static let pageDefault = 100
    package static let pageMax = 1_000
    /// Questions to workers for one page: what is not found by then is the next page's.
    package static let questionsPerPage = 64
    /// Nesting of a JSON document.
    package static let jsonDepthMax = 16
    /// Keys in one file.
    package static let keysMax = 10_000
}
