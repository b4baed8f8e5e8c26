import Base

/// Puts and deletes in order, as one block of bytes: what one apply changes in the engine.
///
/// Layout of an operation: kind u8 (1 put, 2 delete), key length u32, key, and for a put value
/// length u32, value.
package struct WriteBatch: ~Copyable {
    package private(set) var bytes = ByteWriter(capacity: 256)
    /// Operations in the batch.
    package private(set) var count = 0

    package init() {}

    package mutating func put(key: RawSpan, value: RawSpan) {
        bytes.append(1)
        bytes.append(lengthPrefixed32: key)
        bytes.append(lengthPrefixed32: value)
        count += 1
    }

    package mutating func put(key: [UInt8], value: [UInt8]) {
        put(key: key.span.bytes, value: value.span.bytes)
    }

    package mutating func delete(key: RawSpan) {
        bytes.append(2)
        bytes.append(lengthPrefixed32: key)
        count += 1
    }

    package mutating func delete(key: [UInt8]) {
        delete(key: key.span.bytes)
    }

    package mutating func removeAll() {
        bytes.removeAll()
        count = 0
    }

    /// Calls `put` or `delete` for each operation in order.
    package func forEach(
        put: (_ key: RawSpan, _ value: RawSpan) -> Void, delete: (_ key: RawSpan) -> Void
    ) {
        let span = RawSpan(_unsafeBytes: bytes.bytes)
        var reader = ByteReader(span)
        do throws(ByteShortage) {
            while !reader.isAtEnd {
                let kind = try reader.readUInt8(span)
                let key = try reader.takeLengthPrefixed32(span)
                if kind == 1 {
                    let value = try reader.takeLengthPrefixed32(span)
                    put(span.extracting(key.range), span.extracting(value.range))
                } else {
                    delete(span.extracting(key.range))
                }
            }
        } catch {
            invariantFailed("a write batch of \(bytes.count) bytes cannot be read back")
        }
    }
}
