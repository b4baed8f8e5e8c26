import Base

/// Who receives a topic, grouped by place: what a publish looks at.
///
/// ```
///  block:  header | own tokens | places | other tokens | stored | groups | members | strings
/// ```
/// One block of plain memory, immutable but for the groups' cursors. Counted references, not
/// atomic: a plan never leaves its worker. Who keeps it beyond the call that gave it (a fan-out in
/// slices) retains and releases it.
@usableFromInline
package struct RoutePlan {
    /// Sizes of the parts, in elements.
    @usableFromInline
    struct Header {
        @usableFromInline var references: Int32 = 1
        var byteCount: UInt32 = 0
        @usableFromInline var ownCount: UInt32 = 0
        @usableFromInline var placeCount: UInt32 = 0
        @usableFromInline var otherCount: UInt32 = 0
        @usableFromInline var storedCount: UInt32 = 0
        @usableFromInline var groupCount: UInt32 = 0
        @usableFromInline var memberCount: UInt32 = 0
        @usableFromInline var placesOffset: UInt32 = 0
        @usableFromInline var othersOffset: UInt32 = 0
        @usableFromInline var storedOffset: UInt32 = 0
        @usableFromInline var groupsOffset: UInt32 = 0
        @usableFromInline var membersOffset: UInt32 = 0
        @usableFromInline var stringsOffset: UInt32 = 0

        init() {}
    }

    @usableFromInline static var headerBytes: Int { 56 }

    /// Identity of the block; equal plans of two topics are two blocks.
    @usableFromInline package let base: UnsafeMutableRawPointer

    @inlinable
    package init(base: UnsafeMutableRawPointer) { self.base = base }

    @inlinable
    var header: UnsafeMutablePointer<Header> { base.assumingMemoryBound(to: Header.self) }

    @inlinable
    func part<T>(_ offset: UInt32, _ count: UInt32, as type: T.Type) -> UnsafeBufferPointer<T> {
        UnsafeBufferPointer(
            start: (base + Int(offset)).assumingMemoryBound(to: T.self), count: Int(count))
    }

    /// Tokens of this worker's own filter table.
    @inlinable
    package var ownTokens: UnsafeBufferPointer<UInt64> {
        part(UInt32(Self.headerBytes), header.pointee.ownCount, as: UInt64.self)
    }

    /// Every other place with transient receivers; each names a run of `otherTokens`.
    @inlinable
    package var places: UnsafeBufferPointer<PlanPlace> {
        part(header.pointee.placesOffset, header.pointee.placeCount, as: PlanPlace.self)
    }

    @inlinable
    package var otherTokens: UnsafeBufferPointer<UInt64> {
        part(header.pointee.othersOffset, header.pointee.otherCount, as: UInt64.self)
    }

    /// Stored sessions in the order of their client ids, once for each filter that matches.
    @inlinable
    package var stored: UnsafeBufferPointer<PlanStored> {
        part(header.pointee.storedOffset, header.pointee.storedCount, as: PlanStored.self)
    }

    /// Shared subscriptions; only `cursor` may be written.
    @inlinable
    package var groups: UnsafeMutableBufferPointer<PlanGroup> {
        UnsafeMutableBufferPointer(
            mutating: part(
                header.pointee.groupsOffset, header.pointee.groupCount, as: PlanGroup.self))
    }

    @inlinable
    package var members: UnsafeBufferPointer<PlanMember> {
        part(header.pointee.membersOffset, header.pointee.memberCount, as: PlanMember.self)
    }

    /// A string of the plan: a client id, a group's name or filter.
    @inlinable
    package func string(_ range: ByteRange) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: base + Int(header.pointee.stringsOffset) + Int(range.offset),
            count: Int(range.count))
    }

    /// Nobody receives the topic.
    @inlinable
    package var isEmpty: Bool {
        header.pointee.ownCount == 0 && header.pointee.otherCount == 0
            && header.pointee.storedCount == 0 && header.pointee.groupCount == 0
    }

    /// All receivers are those of one filter in this worker's own table.
    @inlinable
    package var isOneFilterHere: Bool {
        header.pointee.ownCount == 1 && header.pointee.otherCount == 0
            && header.pointee.storedCount == 0 && header.pointee.groupCount == 0
    }

    package var byteCount: Int { Int(header.pointee.byteCount) }

    @inlinable
    package func retain() { header.pointee.references &+= 1 }

    @inlinable
    package func release() {
        header.pointee.references &-= 1
        if header.pointee.references == 0 { base.deallocate() }
    }

    /// The member of an ordered group that gets what this publisher sends: the one with the
    /// highest hash of (publisher, member), so that a change of members moves the fewest.
    package func orderedMember(of group: PlanGroup, publisherHash: UInt64) -> Int {
        var best = Int(group.firstMember)
        var highest: UInt64 = 0
        for index in group.memberRange {
            let member = members[index]
            let identity =
                member.isStored
                ? BucketHash.hash(string(member.clientID))
                : member.token ^ member.place.node.rawValue &* 0x9E37_79B9_7F4A_7C15
                    ^ UInt64(member.place.worker.rawValue) &<< 48
            let product = (identity ^ publisherHash)
                .multipliedFullWidth(by: 0x9FB2_1C65_1E98_DF25)
            let weight = (product.high ^ product.low) &* 0xD6E8_FEB8_6659_FD93
            if index == Int(group.firstMember) || weight > highest {
                highest = weight
                best = index
            }
        }
        return best
    }
}

/// Transient receivers on one place other than the plan's own worker.
@usableFromInline
package struct PlanPlace {
    package var place: Place
    @usableFromInline package var firstToken: UInt32
    @usableFromInline package var tokenCount: UInt32

    @inlinable
    package var tokenRange: Range<Int> {
        Int(firstToken)..<Int(firstToken) &+ Int(tokenCount)
    }
}

/// One stored session by one of its filters.
@usableFromInline
package struct PlanStored {
    package var incarnation: UInt64
    /// Hash of the filter: with the client id, which of the session's routes this is.
    package var filterID: UInt64
    package var clientID: ByteRange
    /// 0: none.
    package var subscriptionID: UInt32
    /// As in SUBSCRIBE.
    package var options: UInt8
}

/// A shared subscription whose filter matches, with a run of `RoutePlan.members`.
@usableFromInline
package struct PlanGroup {
    package var name: ByteRange
    package var filter: ByteRange
    @usableFromInline package var firstMember: UInt32
    @usableFromInline package var memberCount: UInt32
    /// Members on this worker come first, then those on this node, then other transient ones,
    /// then stored ones: each count includes the ones before.
    package var ownCount: UInt32
    package var nodeCount: UInt32
    package var transientCount: UInt32
    /// Free for the delivery's turn-taking.
    package var cursor: UInt32
    package var kind: GroupKind

    @inlinable
    package var memberRange: Range<Int> {
        Int(firstMember)..<Int(firstMember) &+ Int(memberCount)
    }
}

/// A member of a shared subscription.
@usableFromInline
package struct PlanMember {
    /// Of a transient member.
    package var place: Place
    /// Of a transient member.
    package var token: UInt64
    /// Of a stored member, like the following.
    package var incarnation: UInt64
    package var clientID: ByteRange
    package var subscriptionID: UInt32
    package var options: UInt8
    package var isStored: Bool
}
