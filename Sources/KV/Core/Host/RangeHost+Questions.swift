import Base

/// What is put to a machine without the log: questions, messages, and values that it asked to read.
extension RangeHost {
    func ask(_ item: HostQueue.Item, _ replica: RangeReplica) {
        let bytes = RawSpan(
            _unsafeBytes: UnsafeRawBufferPointer(
                rebasing: replica.queue.bytes[item.payload.range]))
        var reader = ByteReader(bytes)
        do throws(ByteShortage) {
            let question = try Question(bytes, reader: &reader)
            if question.boundaryVersion != replica.descriptor.boundaryVersion {
                refuse(question, .staleBoundary, to: item.from, replica)
            } else if tickets.isFull {
                refuse(question, .busy, to: item.from, replica)
            } else {
                metrics.questions += 1
                let ticket = tickets.insert(question, from: item.from)
                replica.machine.query(
                    bytes.extracting(reader.offset..<reader.end), ticket: ticket, output: output)
                carryOut(replica)
            }
        } catch {
            damagedFrames += 1
        }
    }

    func deliver(_ item: HostQueue.Item, _ replica: RangeReplica) {
        let bytes = RawSpan(
            _unsafeBytes: UnsafeRawBufferPointer(
                rebasing: replica.queue.bytes[item.payload.range]))
        var reader = ByteReader(bytes)
        do throws(ByteShortage) {
            guard let kind = MessageKind(rawValue: try reader.readUInt8(bytes)) else {
                throw ByteShortage()
            }
            let whole = bytes.extracting(reader.offset..<reader.end)
            var inner = ByteReader(whole)
            let message = try MachineMessage(whole, reader: &inner)
            // An empty key means this very range, whatever its boundaries are now.
            let isForRange =
                message.key.isEmpty
                || replica.descriptor.bounds.contains(whole.extracting(message.key.range))
            guard isForRange else {
                passOn(kind, message, whole, from: item.from)
                return
            }
            replica.machine.receive(
                kind, whole.extracting(inner.offset..<inner.end), from: item.from, output: output)
            carryOut(replica)
        } catch {
            damagedFrames += 1
        }
    }

    func completeReads(of replica: RangeReplica) {
        guard !replica.reads.isEmpty else { return }
        let reads = replica.reads
        replica.reads = []
        for read in reads {
            let values = read.keys.map { key in key.withRawSpan { replica.engine.get($0) } }
            replica.machine.completeRead(read.token, values: values, output: output)
            carryOut(replica)
        }
    }
}
