import Base

/// The rules that the keys of all stores share.
///
/// ```
///  key    =  part part ...
///  bucket =  u16, big-endian: the upper bits of a hash over (tenant, id); spreads load, so that a
///            new cluster can be cut evenly at once
///  area   =  u8: what kind of thing follows; see the stores' sections of Docs/FORMATS.md
///  string =  bytes, 00 written as 01 01 and 01 as 01 02, then 00
///  number =  u8 ... u64, big-endian
/// ```
/// No string is a prefix of another, and strings sort by their bytes, so tuples of parts sort part
/// by part. MQTT strings hold no 00 and hardly ever 01: they cost one byte more than their length.
///
/// inbox and retain keys begin with the bucket; dist keys begin with an area byte, and those of
/// the exact area go on with the bucket; system keys begin with an area byte.
package enum KeySchema {
    /// First byte of a dist key: exact filters, found by one look-up, spread by bucket.
    package static let distExactArea: UInt8 = 1
    /// First byte of a dist key: filters with wildcards, in order of tenant and levels.
    package static let distWildcardArea: UInt8 = 2

    /// The bucket of an id (client id, filter, topic, group) of a tenant. Part of the format.
    package static func bucket(
        tenant: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer
    ) -> UInt16 {
        let mixed = BucketHash.hash(tenant) &* 0x9E37_79B1_85EB_CA87 ^ BucketHash.hash(id)
        return UInt16(truncatingIfNeeded: mixed &>> 48)
    }

    package static func bucket(tenant: RawSpan, id: RawSpan) -> UInt16 {
        tenant.withUnsafeBytes { first in
            id.withUnsafeBytes { bucket(tenant: first, id: $0) }
        }
    }

    package static func bucket(tenant: [UInt8], id: [UInt8]) -> UInt16 {
        tenant.withUnsafeBytes { first in
            id.withUnsafeBytes { bucket(tenant: first, id: $0) }
        }
    }
}

extension ByteWriter {
    /// Appends a string as a key's part: escaped and ended, so that order is kept.
    package mutating func append(keyString bytes: RawSpan) {
        bytes.withUnsafeBytes { append(keyString: $0) }
    }

    package mutating func append(keyString bytes: [UInt8]) {
        bytes.withUnsafeBytes { append(keyString: $0) }
    }

    package mutating func append(keyString bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count &+ 1)
        var clean = 0
        for position in 0..<bytes.count where bytes[position] <= 1 {
            append(UnsafeRawBufferPointer(rebasing: bytes[clean..<position]))
            append(1)
            append(bytes[position] &+ 1)
            clean = position &+ 1
        }
        append(UnsafeRawBufferPointer(rebasing: bytes[clean...]))
        append(0)
    }
}

extension ByteReader {
    /// Reads a string part of a key back.
    package mutating func readKeyString(_ bytes: RawSpan) throws(ByteShortage) -> [UInt8] {
        var string: [UInt8] = []
        while true {
            let byte = try readUInt8(bytes)
            if byte == 0 { return string }
            if byte > 1 {
                string.append(byte)
                continue
            }
            let escaped = try readUInt8(bytes)
            guard escaped == 1 || escaped == 2 else { throw ByteShortage() }
            string.append(escaped - 1)
        }
    }

    /// Passes over a string part of a key; the range holds the escaped bytes without the end.
    package mutating func skipKeyString(_ bytes: RawSpan) throws(ByteShortage) -> ByteRange {
        let start = offset
        while try readUInt8(bytes) != 0 {}
        return ByteRange(offset: start, count: offset &- start &- 1)
    }
}
