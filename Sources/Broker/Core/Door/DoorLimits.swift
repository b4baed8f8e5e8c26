import Base

/// The bounds of the query door: what those who ask from outside the loops may make a node hold.
package enum DoorLimits {
    /// Requests without an answer, on the whole node.
    package static let openMax = 1_024
    /// Bytes of those requests.
    package static let openBytesMax = 64 << 20
    /// Bytes of one request; a payload is the largest part of it.
    package static let requestBytesMax = 16 << 20
    /// Items in one page of anything.
    package static let pageMax = 1_000
    /// Connections looked at for one page, found or not.
    package static let scanMax = 20_000
    /// Tenants whose counters stand apart in one worker's figures; further ones are added up.
    package static let tenantsInFigures = 1_000
    /// User properties of one message.
    package static let userPropertiesMax = 100
}
