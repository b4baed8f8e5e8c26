import Base

/// The settings that someone set for a tenant, sparse, as they are configured and stored.
///
/// What is not set follows the defaults, also when a later release changes them. Stored form,
/// version 1: `version 1 byte | count 2 | count times (row number 2 | value 8)`, big-endian, by
/// rising row number. Rows that this release does not know are kept and written back.
package struct TenantOverrides: Equatable, Sendable {
    static let formatVersion: UInt8 = 1

    /// Values by row number, each accepted by its row when it was set.
    private var values: [UInt16: Int]

    package init() { values = [:] }

    package var isEmpty: Bool { values.isEmpty }
    package var count: Int { values.count }

    /// Sets a value given in the words of the configuration.
    package mutating func set(_ name: String, to text: String) throws(SettingError) {
        let row = try SettingTable.row(named: name)
        values[row.number] = try row.parse(text)
    }

    /// Sets a value by row.
    package mutating func set(_ row: SettingRow, to value: Int) throws(SettingError) {
        guard row.allows(value) else {
            throw .badValue(setting: row.name, value: String(value), valid: row.validText)
        }
        values[row.number] = value
    }

    /// Back to what the defaults say.
    package mutating func clear(_ name: String) throws(SettingError) {
        values[try SettingTable.row(named: name).number] = nil
    }

    package func value(of row: SettingRow) -> Int? { values[row.number] }

    /// What is set, in the order of the table.
    package var listing: [(row: SettingRow, value: Int)] {
        SettingTable.rows.compactMap { row in values[row.number].map { (row, $0) } }
    }

    /// Puts these values over others. Values that no longer fit their row are left out.
    package func applied(to base: TenantSettings) -> TenantSettings {
        var settings = base
        for (row, value) in listing where row.allows(value) { row.write(value, to: &settings) }
        return settings
    }

    /// Contradictions that these values lead to over `base`, and settings without effect.
    package func check(over base: TenantSettings = .standard) -> (
        errors: [String], warnings: [String]
    ) {
        let warnings = listing.filter { $0.row.effect == .none }.map {
            "\($0.row.name) has no effect: \($0.row.meaning)"
        }
        return (applied(to: base).contradictions, warnings)
    }

    package func encode(into writer: inout ByteWriter) {
        writer.append(Self.formatVersion)
        writer.append(bigEndian: UInt16(values.count))
        for number in values.keys.sorted() {
            writer.append(bigEndian: number)
            writer.append(bigEndian: Int64(values[number] ?? 0))
        }
    }

    package init(decoding bytes: RawSpan) throws(SettingError) {
        do {
            var reader = ByteReader(bytes)
            let version = try reader.readUInt8(bytes)
            guard version == Self.formatVersion else {
                throw SettingError.badBytes("format version \(version) is not known")
            }
            values = [:]
            for _ in 0..<(try reader.readUInt16(bytes)) {
                let number = try reader.readUInt16(bytes)
                values[number] = Int(try reader.read(bytes, as: Int64.self))
            }
            guard reader.isAtEnd else {
                throw SettingError.badBytes("\(reader.remaining) bytes follow the last value")
            }
        } catch let error as SettingError {
            throw error
        } catch {
            throw .badBytes("they end too early")
        }
    }
}
