import Base
import TestKit
import Testing
import WebSocket

@Suite("WebSocket frames")
struct FrameTests {
    @Test("the masked sample of RFC 6455 unmasks to its text")
    func sampleMask() {
        // Section 5.7, as binary instead of text.
        let frame: [UInt8] = [
            0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ]
        var connection = Receiver()
        connection.receive(frame)
        #expect(connection.plain == Array("Hello".utf8))
        #expect(connection.buffer.isEmpty)
    }

    @Test("the decoder's state fits into a connection record")
    func stateSize() {
        #expect(MemoryLayout<FrameDecoder>.size <= 20)
    }

    @Test(
        "fast masking equals the naive one at every offset, length and turn",
        arguments: Seed.series(2))
    func maskAgainstNaive(seed: Seed) {
        var random = seed.random()
        for count in 0..<200 {
            let key = UInt32(truncatingIfNeeded: random.next())
            let turn = random.below(4)
            let bytes = (0..<count + 8).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let keyBytes = (0..<4).map { UInt8(truncatingIfNeeded: key >> UInt32(8 * $0)) }
            let shift = random.below(9)
            let expected = (0..<count).map { bytes[$0] ^ keyBytes[($0 + turn) % 4] }
            var work = [UInt8](repeating: 0, count: shift) + bytes
            work.withUnsafeMutableBytes { buffer in
                guard let base = buffer.baseAddress else { return }
                // Downward and overlapping, as the decoder does it.
                Mask.apply(Mask.turned(key, by: turn), from: base + shift, to: base, count: count)
            }
            #expect(Array(work[..<count]) == expected, "\(seed), count \(count)")
        }
    }

    @Test("any split of any frames gives the same stream", arguments: Seed.series(40))
    func splits(seed: Seed) {
        var random = seed.random()
        let traffic = Traffic(&random)
        var whole = Receiver()
        whole.receive(traffic.bytes)
        #expect(whole.plain == traffic.plain, "\(seed)")
        #expect(whole.pings == traffic.pings, "\(seed)")
        var byByte = Receiver()
        for byte in traffic.bytes { byByte.receive([byte]) }
        #expect(byByte.plain == traffic.plain, "\(seed)")
        #expect(byByte.pings == traffic.pings, "\(seed)")
        var pieces = Receiver()
        pieces.consumption = { SeededRandom.pick($0, from: seed.value) }
        var offset = 0
        while offset < traffic.bytes.count {
            let end = min(traffic.bytes.count, offset + 1 + random.below(400))
            pieces.receive(Array(traffic.bytes[offset..<end]))
            offset = end
        }
        pieces.consumption = { $0 }
        pieces.receive([])
        #expect(pieces.plain == traffic.plain, "\(seed)")
        #expect(pieces.pings == traffic.pings, "\(seed)")
        #expect(pieces.controls == traffic.controls, "\(seed)")
    }

    @Test(
        "what no client may send is a fault with its close code",
        arguments: [
            ([0x82, 0x05, 1, 2, 3, 4, 5], 1002),
            ([0x81, 0x81, 0, 0, 0, 0, 0x61], 1003),
            ([0xC2, 0x80, 0, 0, 0, 0], 1002),
            ([0xA2, 0x80, 0, 0, 0, 0], 1002),
            ([0x92, 0x80, 0, 0, 0, 0], 1002),
            ([0x83, 0x80, 0, 0, 0, 0], 1002),
            ([0x8B, 0x80, 0, 0, 0, 0], 1002),
            ([0x8F, 0x80], 1002),
            ([0x80, 0x80, 0, 0, 0, 0], 1002),
            ([0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0], 1002),
            ([0x02, 0x80, 0, 0, 0, 0, 0x01, 0x80, 0, 0, 0, 0], 1003),
            ([0x09, 0x80, 0, 0, 0, 0], 1002),
            ([0x89, 0xFE, 0, 126, 0, 0, 0, 0], 1002),
            ([0x88, 0x81, 0, 0, 0, 0, 3], 1002),
            ([0x88, 0x82, 0, 0, 0, 0, 3, 237], 1002),
            ([0x88, 0x82, 0, 0, 0, 0, 0, 0], 1002),
            ([0x88, 0x83, 0, 0, 0, 0, 3, 232, 0xFF], 1007),
            ([0x82, 0xFE, 0, 125, 0, 0, 0, 0], 1002),
            ([0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0], 1002),
            ([0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1002),
            ([0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0], 1009),
            ([0x82, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
            ([0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], 1009),
        ] as [([UInt8], UInt16)])
    func faults(frame: [UInt8], code: UInt16) {
        var before = ByteWriter()
        ClientFrameEncoder.append(.binary, [7, 8, 9], mask: 0x1234_5678, to: &before)
        for bytewise in [false, true] {
            var connection = Receiver(limits: FrameLimits(frameBytesMax: 0x1_0000))
            let bytes = before.array + frame + [0x82, 0x80, 0, 0, 0, 0]
            if bytewise {
                for byte in bytes { connection.receive([byte]) }
            } else {
                connection.receive(bytes)
            }
            #expect(connection.fault == CloseCode(rawValue: code))
            #expect(connection.plain == [7, 8, 9])
        }
    }

    @Test(
        "a close frame gives its code",
        arguments: [(1000, ""), (1001, "going"), (3000, ""), (4999, "grüße")])
    func close(code: UInt16, reason: String) {
        var writer = ByteWriter()
        ClientFrameEncoder.append(.binary, [1], mask: 5, to: &writer)
        let payload = [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8)
        ClientFrameEncoder.append(.close, payload, mask: 77, to: &writer)
        ClientFrameEncoder.append(.binary, [2], mask: 5, to: &writer)
        var connection = Receiver()
        connection.receive(writer.array)
        #expect(connection.closed == CloseCode(rawValue: code))
        #expect(connection.plain == [1])
        #expect(connection.buffer.isEmpty)
    }

    @Test("an empty close frame has no status and is answered in kind")
    func emptyClose() {
        var connection = Receiver()
        connection.receive([0x88, 0x80, 1, 2, 3, 4])
        #expect(connection.closed == .noStatus)
        var output = ByteWriter()
        FrameEncoder.appendClose(.noStatus, to: &output)
        #expect(output.array == [0x88, 0])
        output.removeAll()
        FrameEncoder.appendClose(.tooBig, to: &output)
        #expect(output.array == [0x88, 2, 3, 241])
    }

    @Test("a flood of pings is counted and never buffered")
    func pingFlood() {
        var writer = ByteWriter()
        for _ in 0..<70_000 { ClientFrameEncoder.append(.ping, [], mask: 0, to: &writer) }
        var connection = Receiver()
        connection.receive(writer.array)
        #expect(connection.controls == Int(UInt16.max))
        #expect(connection.pings.count == 70_000)
        #expect(connection.buffer.isEmpty)
    }

    @Test("a packet in frames of one byte is kept within its bound and moved in linear time")
    func trickledPacket() {
        let packet = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var connection = Receiver()
        connection.consumption = { $0 == packet.count ? $0 : 0 }
        for byte in packet {
            var writer = ByteWriter()
            ClientFrameEncoder.append(.continuation, [byte], mask: 0xA5A5_1234, to: &writer)
            var frame = writer.array
            frame[0] = 0x82
            connection.receive(frame)
        }
        #expect(connection.plain == packet)
        #expect(connection.buffer.isEmpty)
        #expect(
            connection.keptMax
                <= PlainWindow.keptBytesMax(
                    plain: packet.count, raw: FrameDecoder.rawBytesMax))
    }

    @Test("bytes that wait for more stay within their bound")
    func rawBound() {
        var writer = ByteWriter()
        ClientFrameEncoder.append(
            .ping, [UInt8](repeating: 1, count: 125), mask: 9, to: &writer)
        var connection = Receiver()
        connection.receive(Array(writer.array.dropLast()))
        #expect(connection.buffer.count == FrameDecoder.rawBytesMax)
    }

    @Test(
        "the server's header fits the payload, and its size is known before",
        arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
    func serverHeader(count: Int) {
        var memory = [UInt8](repeating: 0xEE, count: FrameEncoder.headerBytesMax + count)
        let headerCount = memory.withUnsafeMutableBytes { buffer in
            buffer.baseAddress.map {
                FrameEncoder.writeHeader(payloadCount: count, at: $0)
            }
        }
        #expect(headerCount == FrameEncoder.headerCount(count))
        let header = Array(memory[..<(headerCount ?? 0)])
        let expected: [UInt8] =
            count < 126
            ? [0x82, UInt8(count)]
            : count < 65_536
                ? [0x82, 126, UInt8(count >> 8), UInt8(count & 255)]
                : [0x82, 127, 0, 0, 0, 0, 0, 1, UInt8(count >> 8 & 255), UInt8(count & 255)]
        #expect(header == expected)
    }

    @Test(
        "random bytes never crash the decoder and never grow the buffer", arguments: Seed.series(20)
    )
    func garbage(seed: Seed) {
        var random = seed.random()
        for _ in 0..<20 {
            var connection = Receiver(limits: FrameLimits(frameBytesMax: 1 << 16))
            let traffic = Traffic(&random)
            var bytes = traffic.bytes
            for _ in 0...random.below(3) where !bytes.isEmpty {
                bytes[random.below(bytes.count)] = UInt8(random.below(256))
            }
            connection.receive(bytes)
            #expect(connection.plain.count <= bytes.count, "\(seed)")
        }
    }
}
