import Base

/// A range becomes two, and a node's life ends: proposed like any command, applied in the log.
extension RangeHost {
    /// Proposes to cut a range near a key. False if the range is not here or cannot be cut there.
    package func split(_ range: RangeID, near key: [UInt8]) -> Bool {
        guard let replica = replicaByID[range], let cut = replica.machine.splitKey(near: key)
        else { return false }
        return propose(cut: cut, of: replica)
    }

    /// Proposes to cut a range in the middle of its machine's load.
    package func splitInMiddle(_ range: RangeID) -> Bool {
        guard let replica = replicaByID[range], let cut = replica.machine.middleKey else {
            return false
        }
        return propose(cut: cut, of: replica)
    }

    private func propose(cut key: [UInt8], of replica: RangeReplica) -> Bool {
        guard replica.descriptor.bounds.canBeCut(at: key), !replica.queue.isFull else {
            return false
        }
        // Ranges of the beginning have small numbers; these have the upper bit and 63 of chance.
        let number = random.next() | 1 << 63
        enqueue(.split, from: place, replica) { writer in
            writer.append(bigEndian: number)
            writer.append(lengthPrefixed32: key.span.bytes)
        }
        return true
    }

    func cutByFault() {
        guard let index = fault?.split(of: replicas.count) else { return }
        if splitInMiddle(replicas[index].descriptor.id) { fault?.splitsMax -= 1 }
    }

    func applySplit(
        _ bytes: RawSpan, _ reader: inout ByteReader, _ replica: RangeReplica
    ) throws(ByteShortage) {
        let number = try reader.readUInt64(bytes)
        let key = bytes.array(try reader.takeLengthPrefixed32(bytes))
        let id = RangeID(store: replica.descriptor.id.store, number: number)
        // An earlier entry may have cut it elsewhere.
        guard replica.descriptor.bounds.canBeCut(at: key), map.descriptor(id) == nil else { return }
        // What was read for the whole is handed over before there are two halves.
        while !replica.reads.isEmpty { completeReads(of: replica) }
        let machine = replica.machine.splitOff(at: key, output: output)
        var upper = replica.descriptor
        upper.id = id
        upper.bounds.start = key
        upper.boundaryVersion += 1
        replica.descriptor.bounds.end = key
        replica.descriptor.boundaryVersion += 1
        let half = RangeReplica(
            descriptor: upper, machine: machine, engine: replica.engine, lanes: replica.lanes,
            appliedIndex: replica.appliedIndex, time: replica.time)
        half.releasedThrough = replica.releasedThrough
        take(half)
        replica.machine.rangeChanged(replica.descriptor)
        half.machine.rangeChanged(upper)
        metrics.splits += 1
        announce([replica.descriptor, upper])
        carryOut(replica)
        carryOut(half)
    }

    /// Tells every worker of the node.
    private func announce(_ descriptors: [RangeDescriptor]) {
        map.insert(descriptors)
        for worker in 0..<workers {
            let place = Place(node: place.node, worker: WorkerIndex(UInt16(worker)))
            outbox.send(.rangeMap, to: place) {
                RangeMapMessage.encode(descriptors, into: &$0)
            }
        }
    }

    /// Ends a node's lives up to `epoch` in every range here: their lanes are freed, and whatever
    /// of theirs is still under way will be refused.
    package func fence(_ node: NodeID, through epoch: LivenessEpoch) {
        for replica in replicas {
            enqueue(.fence, from: place, replica) { writer in
                writer.append(bigEndian: node.rawValue)
                writer.append(bigEndian: epoch.rawValue)
            }
        }
    }
}
