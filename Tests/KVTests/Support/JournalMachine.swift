import Base
import KV

/// A small machine for tests: a list of numbers per key, to which commands append.
///
/// ```
///  command:  0 append | key length u16 | key | number u64        result: place in the list u32
///            1 append, answer held until released: as above, then hold number u64
///            2 append at a time: as above, then milliseconds u64; the list grows when it is due
///  question: 0 list | key length u16 | key     answer: number u64 ...
///            1 all keys                        answer: (key length u16 | key | count u32) ...
///            2 list, by way of the engine      answer: number u64 ...
///  message:  number u64: releases held answers through it
/// ```
final class JournalMachine: RangeMachine {
    var lists: [[UInt8]: [UInt64]] = [:]
    /// Due appends, by time.
    var timers: [(at: UInt64, key: [UInt8], number: UInt64)] = []
    var messages = 0
    /// Where each command stood.
    var positions: [(index: UInt64, ordinal: UInt32)] = []
    /// Questions that wait for a read, by token.
    var pending: [UInt64: QueryTicket] = [:]
    private var nextToken: UInt64 = 1

    static func append(
        _ key: [UInt8], _ number: UInt64, hold: UInt64? = nil, at time: UInt64? = nil,
        into writer: inout ByteWriter
    ) {
        writer.append(hold != nil ? 1 : time != nil ? 2 : 0)
        writer.append(lengthPrefixed16: key)
        writer.append(bigEndian: number)
        if let hold { writer.append(bigEndian: hold) }
        if let time { writer.append(bigEndian: time) }
    }

    func apply(_ command: RawSpan, at position: ApplyPosition, output: MachineOutput) {
        positions.append((position.index, position.ordinal))
        var reader = ByteReader(command)
        do throws(ByteShortage) {
            let kind = try reader.readUInt8(command)
            let key = command.array(try reader.takeLengthPrefixed16(command))
            let number = try reader.readUInt64(command)
            if kind == 2 {
                timers.append((try reader.readUInt64(command), key, number))
                return
            }
            if kind == 1 { output.holdAnswerUntil = try reader.readUInt64(command) }
            output.result.append(bigEndian: UInt32(lists[key]?.count ?? 0))
            add(number, to: key, output)
        } catch {
            output.result.append(0xFF)
        }
    }

    private func add(_ number: UInt64, to key: [UInt8], _ output: MachineOutput) {
        lists[key, default: []].append(number)
        var value = ByteWriter()
        for number in lists[key, default: []] { value.append(bigEndian: number) }
        output.writes.put(key: key, value: value.array)
    }

    func applyDue(at position: ApplyPosition, output: MachineOutput) {
        // One at a time: a slice as small as can be.
        guard let index = timers.firstIndex(where: { $0.at <= position.time.milliseconds })
        else { return }
        let timer = timers.remove(at: index)
        add(timer.number, to: timer.key, output)
    }

    var nextDue: WallTime {
        timers.map(\.at).min().map { WallTime(milliseconds: $0) } ?? .distantFuture
    }

    func query(_ question: RawSpan, ticket: QueryTicket, output: MachineOutput) {
        var reader = ByteReader(question)
        do throws(ByteShortage) {
            let kind = try reader.readUInt8(question)
            if kind == 1 {
                output.answer(ticket) { writer in
                    for (key, list) in lists {
                        writer.append(lengthPrefixed16: key)
                        writer.append(bigEndian: UInt32(list.count))
                    }
                }
                return
            }
            let key = question.array(try reader.takeLengthPrefixed16(question))
            if kind == 2 {
                pending[nextToken] = ticket
                output.read(nextToken, keys: [key])
                nextToken += 1
                return
            }
            output.answer(ticket) { writer in
                for number in lists[key] ?? [] { writer.append(bigEndian: number) }
            }
        } catch {
            output.answer(ticket) { $0.append(0xFF) }
        }
    }

    func receive(
        _ kind: MessageKind, _ body: RawSpan, from place: Place, output: MachineOutput
    ) {
        messages += 1
        var reader = ByteReader(body)
        if let number = try? reader.readUInt64(body) { output.release(through: number) }
    }

    func completeRead(_ token: UInt64, values: [[UInt8]?], output: MachineOutput) {
        guard let ticket = pending.removeValue(forKey: token) else { return }
        output.answer(ticket) { $0.append(values[0] ?? []) }
    }

    func leadershipChanged(_ position: ApplyPosition?, output: MachineOutput) {}

    func load(key: RawSpan, value: RawSpan) {
        var reader = ByteReader(value)
        while let number = try? reader.readUInt64(value) {
            lists[key.array, default: []].append(number)
        }
    }

    func splitKey(near key: [UInt8]) -> [UInt8]? {
        lists.keys.filter { KeyOrder.compare($0, key) >= 0 }
            .min { KeyOrder.compare($0, $1) < 0 }
    }

    var middleKey: [UInt8]? {
        let keys = lists.keys.sorted { KeyOrder.compare($0, $1) < 0 }
        return keys.count < 2 ? nil : keys[keys.count / 2]
    }

    func splitOff(at key: [UInt8], output: MachineOutput) -> any RangeMachine {
        let upper = JournalMachine()
        for (other, list) in lists where KeyOrder.compare(other, key) >= 0 {
            upper.lists[other] = list
            lists[other] = nil
        }
        upper.timers = timers.filter { KeyOrder.compare($0.key, key) >= 0 }
        timers.removeAll { KeyOrder.compare($0.key, key) >= 0 }
        return upper
    }
}
