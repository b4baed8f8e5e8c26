import Base

/// Sets of receivers: what hangs on a filter's head word, on a group and on nothing else.
///
/// ```
///  head:      0 none | first block of a chain | tableBit, table | pairBit, pair
///  pair:      plain head u32 | groups head u32            only where a filter has groups
///  table:     count u32 | bits u32 | chain head u32 ...   2^bits of them, from 17 receivers on
///
///  transient: next u32 | 1 u8 | 0 u8 | place u16 | token u64
///  stored:    next u32 | 2 u8 | options u8 | id count u16 | incarnation u64 | sub id u32 | id
///  group:     next u32 | 3, 4 u8 | 0 u8 | name count u16 | members head u32 | count u32 | name
///  member:    next u32 | 5 u8 | 0 u8 | place u16 | token u64      (a stored member is `stored`)
/// ```
/// Tables are walked with a cursor that counts in reversed bits, so a table that grows between
/// two pages neither hides nor repeats anybody; one that shrinks raises `layoutNumber`.
extension RouteTable {
    static var tableBit: UInt32 { 1 << 31 }
    static var pairBit: UInt32 { 1 << 30 }
    static var chainMax: Int { 16 }
    static var tableBitsMin: UInt32 { 4 }
    /// 2^17 chains fill half a chunk; beyond it, chains grow longer.
    static var tableBitsMax: UInt32 { 17 }

    enum Block {
        static let next = 0
        static let kind = 4
        static let options = 5
        static let count = 6
        static let token = 8
        static let incarnation = 8
        static let subscriptionID = 16
        static let clientID = 20
        static let members = 8
        static let memberCount = 12
        static let groupName = 16
        static let transientBytes = 16
    }

    /// The kind byte of a block. 3 and 4 are `GroupKind` plus two.
    enum BlockKind {
        static let transient: UInt8 = 1
        static let stored: UInt8 = 2
        static let unorderedGroup: UInt8 = 3
        static let orderedGroup: UInt8 = 4
        static let member: UInt8 = 5
    }

    func kind(_ block: UInt32) -> UInt8 {
        arena[block].load(fromByteOffset: Block.kind, as: UInt8.self)
    }

    func options(_ block: UInt32) -> UInt8 {
        arena[block].load(fromByteOffset: Block.options, as: UInt8.self)
    }

    func long(_ block: UInt32, _ offset: Int) -> UInt64 {
        arena[block].loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    func setLong(_ block: UInt32, _ offset: Int, _ value: UInt64) {
        arena[block].storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
    }

    func blockClientID(_ block: UInt32) -> UnsafeRawBufferPointer {
        part(block, Block.clientID, half(block, Block.count))
    }

    func blockGroupName(_ block: UInt32) -> UnsafeRawBufferPointer {
        part(block, Block.groupName, half(block, Block.count))
    }

    func blockPlace(_ block: UInt32) -> UInt16 { UInt16(half(block, Block.count)) }

    func blockBytes(_ block: UInt32) -> Int {
        switch kind(block) {
        case BlockKind.stored: Block.clientID + half(block, Block.count)
        case BlockKind.unorderedGroup, BlockKind.orderedGroup:
            Block.groupName + half(block, Block.count)
        default: Block.transientBytes
        }
    }

    func blockHash(_ block: UInt32) -> UInt32 {
        switch kind(block) {
        case BlockKind.stored: clientHash(blockClientID(block))
        case BlockKind.unorderedGroup, BlockKind.orderedGroup:
            groupHash(kind(block), blockGroupName(block))
        case BlockKind.member: memberHash(blockPlace(block), long(block, Block.token))
        default: placeHash(blockPlace(block))
        }
    }

    func clientHash(_ id: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: hasher.hash(id))
    }

    func groupHash(_ kind: UInt8, _ name: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: hasher.hash(name, salt: UInt64(kind)))
    }

    func placeHash(_ place: UInt16) -> UInt32 {
        UInt32(truncatingIfNeeded: hasher.hash(UInt64(place)))
    }

    func memberHash(_ place: UInt16, _ token: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: hasher.hash(token ^ UInt64(place) &<< 48))
    }

    // MARK: Chains and tables

    func chain(_ head: UInt32, _ hash: UInt32) -> UnsafeMutablePointer<UInt32>? {
        guard head & Self.tableBit != 0 else { return nil }
        let table = head & ~Self.tableBit
        let mask = 1 << word(table, 4) - 1
        return slot(table, 8 + Int(hash & UInt32(mask)) * 4)
    }

    func setFind(_ head: UInt32, _ hash: UInt32, _ matches: (UInt32) -> Bool) -> UInt32 {
        var block = chain(head, hash)?.pointee ?? head
        while block != 0, !matches(block) { block = word(block, Block.next) }
        return block
    }

    mutating func setInsert(
        _ head: UnsafeMutablePointer<UInt32>, _ block: UInt32, _ hash: UInt32
    ) {
        if let chain = chain(head.pointee, hash) {
            setWord(block, Block.next, chain.pointee)
            chain.pointee = block
            let table = head.pointee & ~Self.tableBit
            let count = word(table, 0) + 1
            setWord(table, 0, count)
            let bits = word(table, 4)
            if count > 2 << bits, bits < Self.tableBitsMax { setRebuild(head, bits: bits + 1) }
            return
        }
        setWord(block, Block.next, head.pointee)
        head.pointee = block
        var count = 0
        var walk = block
        while walk != 0 {
            count += 1
            walk = word(walk, Block.next)
        }
        if count > Self.chainMax { setRebuild(head, bits: Self.tableBitsMin) }
    }

    /// Takes a block out of its set; the block itself is the caller's to free.
    mutating func setRemove(
        _ head: UnsafeMutablePointer<UInt32>, _ block: UInt32, _ hash: UInt32
    ) {
        var link = chain(head.pointee, hash) ?? head
        while link.pointee != block { link = slot(link.pointee, Block.next) }
        link.pointee = word(block, Block.next)
        guard head.pointee & Self.tableBit != 0 else { return }
        let table = head.pointee & ~Self.tableBit
        let count = word(table, 0) - 1
        setWord(table, 0, count)
        let bits = word(table, 4)
        if count <= Self.chainMax / 2 {
            setRebuild(head, bits: 0)
        } else if bits > Self.tableBitsMin, count < (1 << bits) >> 3 {
            setRebuild(head, bits: bits - 1)
        }
    }

    /// Lays a set out anew, as a table of 2^bits chains or, for 0 bits, as one chain.
    mutating func setRebuild(_ head: UnsafeMutablePointer<UInt32>, bits: UInt32) {
        let old = head.pointee
        let isTable = old & Self.tableBit != 0
        let oldTable = old & ~Self.tableBit
        let oldBits = isTable ? word(oldTable, 4) : 0
        if bits < oldBits { layoutNumber &+= 1 }
        var made: UInt32 = 0
        if bits > 0 {
            made = arena.allocate(8 + 4 << bits)
            setWord(made, 0, 0)
            setWord(made, 4, bits)
            slot(made, 8).update(repeating: 0, count: 1 << bits)
        }
        head.pointee = bits > 0 ? made | Self.tableBit : 0
        for index in 0..<(1 << oldBits) {
            var block = isTable ? word(oldTable, 8 + index * 4) : old
            while block != 0 {
                let next = word(block, Block.next)
                let target = chain(head.pointee, blockHash(block)) ?? head
                setWord(block, Block.next, target.pointee)
                target.pointee = block
                if bits > 0 { setWord(made, 0, word(made, 0) + 1) }
                block = next
            }
        }
        if isTable { arena.free(oldTable, 8 + 4 << oldBits) }
    }

    /// The chain at a cursor, and the cursor of the next; 0 when this was the last.
    func setChain(_ head: UInt32, _ cursor: UInt32) -> (block: UInt32, next: UInt32) {
        guard head & Self.tableBit != 0 else { return (head, 0) }
        let table = head & ~Self.tableBit
        let mask = UInt32(1) << word(table, 4) - 1
        let block = word(table, 8 + Int(cursor & mask) * 4)
        return (block, reversedBits(reversedBits(cursor | ~mask) &+ 1))
    }

    /// Calls `body` for every block of a set, which may be freed by it.
    func setForEach(_ head: UInt32, _ body: (UInt32) -> Void) {
        let isTable = head & Self.tableBit != 0
        let table = head & ~Self.tableBit
        for index in 0..<(isTable ? 1 << word(table, 4) : 1) {
            var block = isTable ? word(table, 8 + index * 4) : head
            while block != 0 {
                let next = word(block, Block.next)
                body(block)
                block = next
            }
        }
    }

    // MARK: Plain receivers and groups of one filter

    func plainHead(_ head: UInt32) -> UInt32 {
        head & Self.pairBit != 0 ? word(head & ~Self.pairBit, 0) : head
    }

    func groupsHead(_ head: UInt32) -> UInt32 {
        head & Self.pairBit != 0 ? word(head & ~Self.pairBit, 4) : 0
    }

    func plainSlot(_ head: UnsafeMutablePointer<UInt32>) -> UnsafeMutablePointer<UInt32> {
        head.pointee & Self.pairBit != 0 ? slot(head.pointee & ~Self.pairBit, 0) : head
    }

    /// The word that heads the filter's groups; the filter gets a pair if it has none.
    mutating func makeGroupsSlot(
        _ head: UnsafeMutablePointer<UInt32>
    ) -> UnsafeMutablePointer<UInt32> {
        if head.pointee & Self.pairBit == 0 {
            let pair = arena.allocate(8)
            setWord(pair, 0, head.pointee)
            setWord(pair, 4, 0)
            head.pointee = pair | Self.pairBit
        }
        return slot(head.pointee & ~Self.pairBit, 4)
    }

    /// Takes the pair away again when the last group is gone.
    mutating func dropEmptyPair(_ head: UnsafeMutablePointer<UInt32>) {
        guard head.pointee & Self.pairBit != 0, groupsHead(head.pointee) == 0 else { return }
        let pair = head.pointee & ~Self.pairBit
        head.pointee = word(pair, 0)
        arena.free(pair, 8)
    }

    func findGroup(_ head: UInt32, _ kind: UInt8, _ name: UnsafeRawBufferPointer) -> UInt32 {
        setFind(head, groupHash(kind, name)) {
            self.kind($0) == kind && same(blockGroupName($0), name)
        }
    }

    func findStored(_ head: UInt32, _ id: UnsafeRawBufferPointer) -> UInt32 {
        setFind(head, clientHash(id)) {
            kind($0) == BlockKind.stored && same(blockClientID($0), id)
        }
    }

    func findMember(_ head: UInt32, _ place: UInt16, _ token: UInt64) -> UInt32 {
        setFind(head, memberHash(place, token)) {
            kind($0) == BlockKind.member && blockPlace($0) == place
                && long($0, Block.token) == token
        }
    }

    func findTransient(_ head: UInt32, _ place: UInt16) -> UInt32 {
        setFind(head, placeHash(place)) {
            kind($0) == BlockKind.transient && blockPlace($0) == place
        }
    }
}

/// The bits of a word in reversed order.
func reversedBits(_ word: UInt32) -> UInt32 {
    var value = word.byteSwapped
    value = (value >> 4 & 0x0F0F_0F0F) | (value & 0x0F0F_0F0F) << 4
    value = (value >> 2 & 0x3333_3333) | (value & 0x3333_3333) << 2
    return (value >> 1 & 0x5555_5555) | (value & 0x5555_5555) << 1
}
