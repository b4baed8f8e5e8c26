import Base

/// Where a list over several ranges goes on: the range that holds `key`, from `inner` on.
///
/// ```
///  key s16 | inner s16
/// ```
struct DoorCursor: Equatable {
    var key: [UInt8] = []
    var inner: [UInt8] = []

    init() {}

    /// Empty bytes are the beginning. Nil for bytes that are no cursor.
    init?(_ bytes: [UInt8]) {
        if bytes.isEmpty { return }
        var parts: ([UInt8], [UInt8])?
        bytes.withRawSpan { span in
            var reader = ByteReader(span)
            guard let key = try? reader.takeLengthPrefixed16(span),
                let inner = try? reader.takeLengthPrefixed16(span), reader.isAtEnd
            else { return }
            parts = (span.array(key), span.array(inner))
        }
        guard let parts else { return nil }
        (key, inner) = parts
    }

    static func encode(key: [UInt8], inner: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: 8 + key.count + inner.count)
        writer.append(lengthPrefixed16: key)
        writer.append(lengthPrefixed16: inner)
        return writer.array
    }
}
