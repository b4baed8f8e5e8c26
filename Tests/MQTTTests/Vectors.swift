import Base
import MQTT
import TestKit
import Testing

/// A packet as data: what it is called, who reads it, its bytes, and what must come of it.
struct Vector: CustomTestStringConvertible, Sendable {
    var name: String
    var options: DecodeOptions
    var packet: [UInt8]
    var fault: DecodeFault?

    /// `body` follows the first byte; the remaining length is put in front of it.
    init(
        _ name: String, _ options: DecodeOptions, first: UInt8, _ body: String,
        _ fault: DecodeFault? = nil
    ) {
        let body = bytes(body)
        self.name = name
        self.options = options
        packet = [first] + variable(body.count) + body
        self.fault = fault
    }

    /// The bytes are the whole packet.
    init(_ name: String, _ options: DecodeOptions, raw: String, _ fault: DecodeFault? = nil) {
        self.name = name
        self.options = options
        packet = bytes(raw)
        self.fault = fault
    }

    var testDescription: String { name }
}

/// What a packet decodes to, independent of where it stood: its canonical bytes, or the fault.
enum Outcome: Equatable {
    case packet([UInt8])
    case fault(DecodeFault)
    case needMore
}

/// Decodes one packet at `offset`.
func decodeOne(
    _ stream: [UInt8], at offset: Int = 0, _ options: DecodeOptions, maximumPacketSize: Int = .max
) -> (outcome: Outcome, size: Int) {
    stream.withRawSpan { span in
        let frame = FixedHeader.decode(
            span, offset: offset, maximumPacketSize: maximumPacketSize)
        switch frame {
        case .needMore: return (.needMore, 0)
        case .fault(let fault): return (.fault(fault), 0)
        case .frame(let header):
            do throws(DecodeFault) {
                let packet = try Packet.decode(header, span, options)
                var writer = ByteWriter()
                packet.encode(span, packet.version ?? options.version, into: &writer)
                return (.packet(writer.array), header.totalSize)
            } catch {
                return (.fault(error), header.totalSize)
            }
        }
    }
}

extension Packet {
    /// The version that a CONNECT names.
    var version: ProtocolVersion? {
        if case .connect(let packet) = self { return packet.version }
        return nil
    }
}

/// Decodes whole, byte by byte and many at once; all three must agree.
func decodeEveryWay(_ packet: [UInt8], _ options: DecodeOptions) -> Outcome {
    let whole = decodeOne(packet, options)
    for count in 0..<packet.count {
        let part = decodeOne(Array(packet.prefix(count)), options).outcome
        // A header can be wrong before its packet is whole; else nothing is said before the end.
        #expect(part == .needMore || part == whole.outcome, "\(count) of \(packet.count) bytes")
    }
    if whole.size > 0 {
        let stream = packet + packet + packet
        for copy in 0..<3 {
            let again = decodeOne(stream, at: copy * packet.count, options)
            #expect(again.outcome == whole.outcome, "copy \(copy)")
            #expect(again.size == packet.count)
        }
    }
    return whole.outcome
}
