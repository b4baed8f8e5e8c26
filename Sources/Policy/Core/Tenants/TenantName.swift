import Base

/// The name of a tenant: 1 to 64 bytes of ASCII letters, digits, `-`, `_` and `.`.
///
/// So narrow that it can stand in keys, file names, metric labels, log lines and the user name
/// form `tenant/user` without being escaped anywhere.
public struct TenantName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The longest name, in bytes.
    public static let maximumByteCount = 64

    /// The tenant of everyone for whom nothing else names one.
    public static let standard = TenantName(checked: "default")

    /// The name as text.
    public let text: String

    public init?(_ text: some StringProtocol) {
        guard (1...Self.maximumByteCount).contains(text.utf8.count),
            text.utf8.allSatisfy(Self.isAllowed), text.utf8.first != UInt8(ascii: "."),
            text.utf8.first != UInt8(ascii: "-")
        else { return nil }
        self.text = String(text)
    }

    /// From bytes of a key or a frame.
    package init?(bytes: RawSpan) {
        guard bytes.byteCount <= Self.maximumByteCount else { return nil }
        self.init(bytes.string(ByteRange(offset: 0, count: bytes.byteCount)))
    }

    private init(checked text: String) { self.text = text }

    package var bytes: [UInt8] { Array(text.utf8) }

    public var description: String { text }

    public static func < (left: TenantName, right: TenantName) -> Bool { left.text < right.text }

    static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "."):
            true
        default: false
        }
    }
}
