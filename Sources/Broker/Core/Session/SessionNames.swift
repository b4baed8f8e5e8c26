/// Who a session is: client identifier and principal in one allocation of the exact size, set once
/// by CONNECT.
///
/// ```
///  block:  client id count u16 | principal count u16 | client id | principal
/// ```
/// Two arrays would cost 16 bytes in the session's cell and two headers of 32. The addresses are
/// good until the session's cell is freed.
struct SessionNames: ~Copyable {
    private static let headerBytes = 4
    private var block: UnsafeMutableRawPointer?

    /// Nobody yet.
    init() {}

    /// Nil if either has more than 65,535 bytes: an authenticator can name a user as it likes.
    init?(clientID: [UInt8], principal: [UInt8]) {
        let clientCount = clientID.count
        let principalCount = principal.count
        guard let clientSize = UInt16(exactly: clientCount),
            let principalSize = UInt16(exactly: principalCount)
        else { return nil }
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: Self.headerBytes + clientCount + principalCount, alignment: 8)
        memory.storeBytes(of: clientSize, as: UInt16.self)
        memory.storeBytes(of: principalSize, toByteOffset: 2, as: UInt16.self)
        let names = memory + Self.headerBytes
        clientID.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(start: names, count: clientCount).copyMemory(from: $0)
        }
        principal.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(start: names + clientCount, count: principalCount)
                .copyMemory(from: $0)
        }
        block = memory
    }

    deinit { block?.deallocate() }

    private func count(at offset: Int) -> Int {
        block.map { Int($0.load(fromByteOffset: offset, as: UInt16.self)) } ?? 0
    }

    private func part(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        guard let block, count > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: block + Self.headerBytes + offset, count: count)
    }

    var clientID: UnsafeRawBufferPointer { part(0, count(at: 0)) }
    var principal: UnsafeRawBufferPointer { part(count(at: 0), count(at: 2)) }

    /// Bytes of the block as an allocator counts it: it rounds to 16 and keeps 8 of its own.
    var byteCount: Int {
        guard block != nil else { return 0 }
        return max(32, (Self.headerBytes + count(at: 0) + count(at: 2) + 8 + 15) / 16 * 16)
    }
}
