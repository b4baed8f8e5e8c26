import Base
import MQTT

/// One encoded PUBLISH for all receivers of a fan-out that get the same bytes.
///
/// Receivers differ in version, QoS and retain flag only, as long as they have no subscription
/// identifier and no alias; the packet id is patched into each copy. Owned by a worker, emptied
/// for each message.
package struct FrameCache: ~Copyable {
    /// Where a variant's bytes are.
    package struct Frame {
        package var offset: Int32 = -1
        package var count: Int32 = 0
        package var packetIDOffset: Int32 = 0
    }

    /// Version (5 or below), QoS and retain: 2 * 3 * 2, in sixteen places.
    private static let variantCount = 16

    private let frames: UnsafeMutablePointer<Frame>
    private var used: UInt16 = 0
    package private(set) var bytes = ByteWriter(capacity: 4096)

    package init() {
        frames = .allocate(capacity: Self.variantCount)
        frames.initialize(repeating: Frame(), count: Self.variantCount)
    }

    deinit { frames.deallocate() }

    @inline(__always)
    package static func variant(_ version: ProtocolVersion, _ qos: QoS, retain: Bool) -> Int {
        (version == .v5 ? 8 : 0) | (retain ? 4 : 0) | Int(qos.rawValue)
    }

    @inline(__always)
    package func frame(_ variant: Int) -> Frame? {
        used & (1 << UInt16(variant)) != 0 ? frames[variant] : nil
    }

    /// Encodes a variant with packet id 0.
    package mutating func add(
        _ variant: Int, count: Int, packetIDOffset: Int,
        _ write: (UnsafeMutableRawPointer) -> Void
    ) -> Frame {
        let frame = Frame(
            offset: Int32(bytes.count), count: Int32(count), packetIDOffset: Int32(packetIDOffset))
        bytes.append(count: count, filledBy: write)
        frames[variant] = frame
        used |= 1 << UInt16(variant)
        return frame
    }

    @inline(__always)
    package mutating func removeAll() {
        guard used != 0 else { return }
        used = 0
        bytes.removeAll()
    }
}

/// Where the bytes of a variant are for now: in the packet that the message came in, or in the
/// frame cache until it encodes another.
struct PlacedFrame {
    var bytes: UnsafeRawPointer?
    var count = 0
    var packetIDOffset = 0
    /// -1: none yet.
    var variant = -1

    @inline(__always)
    func copy(to place: UnsafeMutableRawPointer) {
        place.copyMemory(from: bytes.unsafelyUnwrapped, byteCount: count)
    }
}
