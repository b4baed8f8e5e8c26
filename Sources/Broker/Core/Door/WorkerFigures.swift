import Base
import Policy

/// The counters and gauges of one worker at one moment, as it tells them through the door.
///
/// ```
///  worker u16 | values: list of u64 | tenants: list of
///     (name s16 | connections u64 | events: list of (kind u8, count u64) | drops: likewise)
///  | hidden tenants u32
/// ```
package struct WorkerFigures: Equatable, Sendable {
    /// What a worker counted for one tenant. Kinds and reasons that never happened are left out.
    package struct Tenant: Equatable, Sendable {
        package var name: String
        /// Of the whole node.
        package var connections: UInt64 = 0
        package var events: [UInt8: UInt64] = [:]
        package var drops: [UInt8: UInt64] = [:]

        package init(name: String) { self.name = name }
    }

    package var worker: WorkerIndex
    /// By raw value of `Figure`.
    package private(set) var values: [UInt64]
    package var tenants: [Tenant] = []
    /// Tenants beyond `DoorLimits.tenantsInFigures`: added up under no name, last of the list.
    package var hiddenTenants: UInt32 = 0

    package init(worker: WorkerIndex) {
        self.worker = worker
        values = [UInt64](repeating: 0, count: Figure.allCases.count)
    }

    package subscript(figure: Figure) -> UInt64 {
        get { values[Int(figure.rawValue)] }
        set { values[Int(figure.rawValue)] = newValue }
    }

    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: worker.rawValue)
        writer.append(list: values) { $0.append(bigEndian: $1) }
        writer.append(list: tenants) { writer, tenant in
            writer.append(text: tenant.name)
            writer.append(bigEndian: tenant.connections)
            for counts in [tenant.events, tenant.drops] {
                let sorted = counts.sorted { $0.key < $1.key }
                writer.append(list: sorted) {
                    $0.append($1.key)
                    $0.append(bigEndian: $1.value)
                }
            }
        }
        writer.append(bigEndian: hiddenTenants)
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        self.init(worker: WorkerIndex(try reader.readUInt16(bytes)))
        let told = try reader.list(bytes) { reader throws(ByteShortage) in
            try reader.readUInt64(bytes)
        }
        // Another release may know fewer figures, or more.
        for index in values.indices where index < told.count { values[index] = told[index] }
        tenants = try reader.list(bytes) { reader throws(ByteShortage) in
            var tenant = Tenant(name: try reader.text(bytes))
            tenant.connections = try reader.readUInt64(bytes)
            tenant.events = try Self.counts(bytes, &reader)
            tenant.drops = try Self.counts(bytes, &reader)
            return tenant
        }
        hiddenTenants = try reader.readUInt32(bytes)
    }

    private static func counts(
        _ bytes: RawSpan, _ reader: inout ByteReader
    ) throws(ByteShortage) -> [UInt8: UInt64] {
        let pairs = try reader.list(bytes) { reader throws(ByteShortage) in
            (key: try reader.readUInt8(bytes), value: try reader.readUInt64(bytes))
        }
        return Dictionary(pairs.map { ($0.key, $0.value) }) { $1 }
    }
}

/// Whether a worker serves, as it says itself. That it answers at all says most.
package struct WorkerHealth: Equatable, Sendable {
    package var worker: WorkerIndex
    package var isDraining = false
    /// Its last turns took too long.
    package var isLate = false
    /// The node is short of memory: new clients are refused.
    package var isShortOfMemory = false
    /// Ranges that nobody leads, by name; at most a hundred.
    package var leaderless: [String] = []

    package init(worker: WorkerIndex) { self.worker = worker }

    func encode(into writer: inout ByteWriter) {
        writer.append(bigEndian: worker.rawValue)
        writer.append(flag: isDraining)
        writer.append(flag: isLate)
        writer.append(flag: isShortOfMemory)
        writer.append(list: leaderless) { $0.append(text: $1) }
    }

    init(_ bytes: RawSpan, _ reader: inout ByteReader) throws(ByteShortage) {
        worker = WorkerIndex(try reader.readUInt16(bytes))
        isDraining = try reader.flag(bytes)
        isLate = try reader.flag(bytes)
        isShortOfMemory = try reader.flag(bytes)
        leaderless = try reader.list(bytes) { reader throws(ByteShortage) in
            try reader.text(bytes)
        }
    }
}
