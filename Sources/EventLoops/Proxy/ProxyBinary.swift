import Base

extension ProxyDecoder {
    private static let fixedCount = 16
    private static let checksumType: UInt8 = 0x03

    /// Version 2: 16 fixed bytes, addresses by family, then type-length-values.
    static func decodeBinary(_ bytes: RawSpan, _ options: ProxyOptions) -> ProxyOutcome {
        guard bytes.byteCount >= fixedCount else { return .needMore }
        let versionAndCommand = byte(bytes, 12)
        guard versionAndCommand >> 4 == 2 else { return .refused(.unknownVersion) }
        let end = fixedCount + Int(byte(bytes, 14)) << 8 + Int(byte(bytes, 15))
        guard end <= options.headerBytesMax else { return .refused(.headerTooLong) }
        guard bytes.byteCount >= end else { return .needMore }
        switch versionAndCommand & 0x0F {
        case 0:
            // LOCAL: family and addresses are to be ignored.
            return .complete(consumed: end, .socket)
        case 1:
            return decodeProxied(bytes.extracting(0..<end), family: byte(bytes, 13))
        default:
            return .refused(.unknownCommand)
        }
    }

    private static func decodeProxied(_ header: RawSpan, family: UInt8) -> ProxyOutcome {
        var reader = ByteReader(offset: fixedCount, end: header.byteCount)
        do throws(ByteShortage) {
            let source: ProxySource
            switch family {
            case 0x00:
                // Nothing is said about what follows, so nothing in it is checked.
                return .complete(consumed: header.byteCount, .socket)
            case 0x11: source = try readV4(header, &reader)
            case 0x21: source = try readV6(header, &reader)
            case 0x31:
                _ = try reader.take(216)
                source = .unix
            default: return .refused(.unsupportedFamily)
            }
            guard try checkValues(header, &reader) else { return .refused(.wrongChecksum) }
            return .complete(consumed: header.byteCount, source)
        } catch {
            return .refused(.truncated)
        }
    }

    private static func readV4(
        _ header: RawSpan, _ reader: inout ByteReader
    ) throws(ByteShortage) -> ProxySource {
        let source = IPAddress(v4: try reader.readUInt32(header))
        let destination = IPAddress(v4: try reader.readUInt32(header))
        return try readPorts(header, &reader, source, destination)
    }

    private static func readV6(
        _ header: RawSpan, _ reader: inout ByteReader
    ) throws(ByteShortage) -> ProxySource {
        let source = IPAddress(
            high: try reader.readUInt64(header), low: try reader.readUInt64(header))
        let destination = IPAddress(
            high: try reader.readUInt64(header), low: try reader.readUInt64(header))
        return try readPorts(header, &reader, source, destination)
    }

    private static func readPorts(
        _ header: RawSpan, _ reader: inout ByteReader, _ source: IPAddress,
        _ destination: IPAddress
    ) throws(ByteShortage) -> ProxySource {
        let sourcePort = try reader.readUInt16(header)
        let destinationPort = try reader.readUInt16(header)
        return .address(
            PeerAddress(source, port: sourcePort),
            destination: PeerAddress(destination, port: destinationPort))
    }

    /// Walks over the type-length-values; false if one of them is a checksum that does not fit.
    private static func checkValues(
        _ header: RawSpan, _ reader: inout ByteReader
    ) throws(ByteShortage) -> Bool {
        while !reader.isAtEnd {
            let type = try reader.readUInt8(header)
            let value = try reader.takeLengthPrefixed16(header)
            guard type == checksumType else { continue }
            guard value.count == 4, checksum(header, without: value) == load(header, value) else {
                return false
            }
        }
        return true
    }

    private static func load(_ header: RawSpan, _ part: ByteRange) -> UInt32 {
        part.range.reduce(0) { $0 << 8 | UInt32(byte(header, $1)) }
    }

    /// CRC-32C over the header, its own four bytes taken as 0. Bit by bit: the header is short.
    private static func checksum(_ header: RawSpan, without part: ByteRange) -> UInt32 {
        var sum = ~UInt32(0)
        for offset in 0..<header.byteCount {
            sum ^= part.range.contains(offset) ? 0 : UInt32(byte(header, offset))
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 0 ? 0 : 0x82F6_3B78) }
        }
        return ~sum
    }

    private static func byte(_ bytes: RawSpan, _ offset: Int) -> UInt8 {
        bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}
