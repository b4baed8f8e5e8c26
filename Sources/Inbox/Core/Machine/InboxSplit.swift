import Base
import KV

/// Cutting the range, always between buckets.
///
/// A shared body lies in the lowest bucket of its receivers, so only bodies of the left half are
/// needed on the right: they are copied to the first bucket of the right half. Rows that refer to
/// them stay as they are: a row of cut `marker` at that bucket says that what refers to a bucket
/// before it means the bucket of the marker.
/// ```
///  marker: bucket u16 | 0        value: version u8
/// ```
extension InboxMachine {
    static let markerArea: UInt8 = 0

    package func splitKey(near key: [UInt8]) -> [UInt8]? {
        let high = key.first ?? 0
        let low = key.count > 1 ? key[1] : 0
        let bucket = Int(high) << 8 | Int(low)
        let cut = key.count > 2 ? bucket + 1 : bucket
        return cut == 0 || cut > 0xFFFF ? nil : InboxKeys.bucketStart(UInt16(cut))
    }

    package var middleKey: [UInt8]? {
        var weights: [(bucket: Int, weight: Int)] = []
        var total = 0
        for bucket in 0..<65_536 where !sessions.isEmpty(bucket: bucket) {
            var weight = 0
            sessions.forEach(inBucket: bucket) {
                weight += 1 + Int(sessions[$0].pointee.queue?.messages ?? 0)
            }
            weights.append((bucket, weight))
            total += weight
        }
        guard weights.count > 1 else { return nil }
        var left = 0
        for one in weights.dropLast() {
            left += one.weight
            if left * 2 >= total { return InboxKeys.bucketStart(UInt16(one.bucket + 1)) }
        }
        return InboxKeys.bucketStart(UInt16(weights[weights.count - 1].bucket))
    }

    /// The cut that holds for references of a bucket's sessions.
    func effectiveBucket(_ bucket: UInt16, of session: Int32) -> UInt16 {
        let own = sessions[session].pointee.bucket
        let cut = cuts.last { $0 <= own } ?? 0
        return max(bucket, cut)
    }

    package func splitOff(at key: [UInt8], output: MachineOutput) -> any RangeMachine {
        bodies.finishLoading()
        let cut = key.count >= 2 ? Int(key[0]) << 8 | Int(key[1]) : 0
        let right = InboxMachine(options: options)
        right.time = time
        right.epochMax = epochMax
        right.leaderTerm = leaderTerm
        right.cuts = Array(Set(cuts.filter { Int($0) >= cut } + [UInt16(cut)])).sorted()
        cuts.removeAll { Int($0) >= cut }
        putMarker(UInt16(cut), output)
        var moved: [Int32: Int32] = [:]
        var copies: [BodyCopy] = []
        for bucket in cut..<65_536 where !sessions.isEmpty(bucket: bucket) {
            var indices: [Int32] = []
            sessions.forEach(inBucket: bucket) { indices.append($0) }
            for index in indices {
                move(index, to: right, UInt16(cut), &moved, &copies)
            }
        }
        moveOwners(to: right, cut, output)
        copyBodies(copies, output)
        return right
    }

    private func putMarker(_ cut: UInt16, _ output: MachineOutput) {
        key.removeAll()
        key.append(bigEndian: cut)
        key.append(Self.markerArea)
        beginValue()
        put(output)
    }

    private func move(
        _ index: Int32, to right: InboxMachine, _ cut: UInt16, _ moved: inout [Int32: Int32],
        _ copies: inout [BodyCopy]
    ) {
        let kind = sessions[index].pointee.kind
        let name = name(index)
        var connection: SessionConnection?
        if sessions[index].pointee.connection >= 0 {
            connection = connections[pointer: sessions[index].pointee.connection].pointee
        }
        let hasWork = (sessions[index].pointee.extras?.workPosition ?? -1) >= 0
        setKind(index, .residue)
        setAttached(index, nil)
        dropWork(index)
        // The answer to a read that is under way comes to this half, which has no use for it.
        sessions[index].pointee.extras?.isReadingOutbox = false
        sessions[index].pointee.pusher?.readToken = 0
        moveBodies(index, to: right, cut, &moved, &copies)
        let count = UInt64(sessions[index].pointee.subscriptionCount)
        subscriptionTotal -= count
        right.subscriptionTotal += count
        sessions[index].pointee.queue?.move(to: right.queueTotals)
        var session = sessions.remove(index)
        tenants.release(session.tenant)
        session.tenant = right.retainTenant(name.tenant)
        session.scheduledDue = 0
        let there = right.sessions.adopt(session)
        right.setKind(there, kind)
        right.setAttached(there, connection)
        if hasWork { right.addWork(there) }
        right.schedule(there)
    }

    /// Entries of a moving session refer to the right half's bodies from now on.
    private func moveBodies(
        _ index: Int32, to right: InboxMachine, _ cut: UInt16, _ moved: inout [Int32: Int32],
        _ copies: inout [BodyCopy]
    ) {
        guard let queue = sessions[index].pointee.queue else { return }
        queue.replaceBodies { old in
            let body = bodies[old].pointee
            let there: Int32
            if let known = moved[old] {
                there = known
                right.bodies[there].pointee.count += 1
            } else {
                there = right.bodies.insert(
                    .init(
                        id: body.id, bucket: max(body.bucket, cut), count: 1,
                        byteCount: body.byteCount))
                moved[old] = there
                // Kept here until it is copied, whatever becomes of the left half's entries.
                if body.bucket < cut { copies.append(BodyCopy(body: old, bucket: cut)) }
                if body.bucket < cut { bodies[old].pointee.count += 1 }
            }
            bodies[old].pointee.count -= 1
            if bodies[old].pointee.count == 0 { bodies.remove(old) }
            return there
        }
    }

    /// Owners go along; who waits in line asks again.
    private func moveOwners(to right: InboxMachine, _ cut: Int, _ output: MachineOutput) {
        guard leaderTerm != nil else { return }
        for owner in owners.indices {
            let tenant = tenants.name(owners[owner].pointee.tenant)
            let clientID = [UInt8](owners.clientID(owner))
            guard Int(InboxKeys.bucket(tenant: tenant, clientID: clientID)) >= cut else {
                continue
            }
            while let (waiter, _) = owners.nextWaiter(owner) {
                output.answer(QueryTicket(waiter.ticket)) {
                    ClaimAnswer(status: .notLeader).encode(into: &$0)
                }
            }
            right.inherit(
                SessionName(tenant: tenant, clientID: clientID),
                principal: [UInt8](owners.principal(owner)),
                owners.place(of: owner), token: owners[owner].pointee.token,
                epoch: owners[owner].pointee.epoch)
            let number = owners[owner].pointee.tenant
            owners.remove(owner)
            tenants.release(number)
        }
    }

    /// Reads bodies in slices; `completeCopy` writes them to the right half.
    private func copyBodies(_ copies: [BodyCopy], _ output: MachineOutput) {
        var rest = copies[...]
        while !rest.isEmpty {
            let slice = Array(rest.prefix(InboxLimits.pushPageEntries))
            rest = rest.dropFirst(slice.count)
            lastReadToken += 1
            self.copies[lastReadToken] = slice
            output.read(
                lastReadToken,
                keys: slice.map { copy in
                    key.removeAll()
                    let body = bodies[copy.body].pointee
                    InboxKeys.appendBody(&key, bucket: body.bucket, id: body.id)
                    return key.array
                })
        }
    }

    func completeCopy(_ slice: [BodyCopy], _ values: [[UInt8]?], _ output: MachineOutput) {
        for (copy, bytes) in zip(slice, values) {
            if let bytes {
                key.removeAll()
                InboxKeys.appendBody(&key, bucket: copy.bucket, id: bodies[copy.body].pointee.id)
                key.withSpan { output.writes.put(key: $0, value: bytes.span.bytes) }
            }
            releaseBody(copy.body, output)
        }
    }
}

/// A body of the left half that the right half needs, and the bucket it goes to.
struct BodyCopy {
    var body: Int32
    var bucket: UInt16
}
