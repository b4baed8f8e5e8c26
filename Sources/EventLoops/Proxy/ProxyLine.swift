import Base

extension ProxyDecoder {
    /// Version 1: one line of text.
    static func decodeLine(_ bytes: RawSpan) -> ProxyOutcome {
        let searched = min(bytes.byteCount, lineBytesMax)
        let line = bytes.extracting(0..<searched).array
        guard let feed = line.firstIndex(of: 0x0A) else {
            return searched < lineBytesMax ? .needMore : .refused(.lineTooLong)
        }
        guard feed > 0, line[feed - 1] == 0x0D, line[..<(feed - 1)].allSatisfy({ $0 < 0x80 }) else {
            return .refused(.malformedLine)
        }
        let parts = line[..<(feed - 1)].split(
            separator: UInt8(ascii: " "), omittingEmptySubsequences: false
        ).map { String(decoding: $0, as: UTF8.self) }
        guard let source = source(parts) else { return .refused(.malformedLine) }
        return .complete(consumed: feed + 1, source)
    }

    /// `PROXY family source destination sourcePort destinationPort`.
    private static func source(_ parts: [String]) -> ProxySource? {
        guard parts.count >= 2 else { return nil }
        // Whatever follows UNKNOWN is to be ignored.
        if parts[1] == "UNKNOWN" { return .socket }
        guard parts.count == 6, parts[1] == "TCP4" || parts[1] == "TCP6",
            let source = endpoint(parts[2], parts[4], family: parts[1]),
            let destination = endpoint(parts[3], parts[5], family: parts[1])
        else { return nil }
        return .address(source, destination: destination)
    }

    private static func endpoint(
        _ address: String, _ port: String, family: String
    ) -> PeerAddress? {
        guard address.contains(":") == (family == "TCP6"), let address = IPAddress(address),
            port.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = UInt16(port),
            String(number) == port
        else { return nil }
        return PeerAddress(address, port: number)
    }
}
