/// All settings, in one table: parsing by name, validation, listing, stored bytes and the
/// reference page come from it.
///
/// The struct `TenantSettings` holds the values and their defaults; a test checks that every one
/// of its fields has exactly one row.
package enum SettingTable {
    package static let rows: [SettingRow] = referenceSettingRows + ownSettingRows

    static let indexByName: [String: Int] = Dictionary(
        uniqueKeysWithValues: rows.enumerated().map { ($1.name.lowercased(), $0) })

    static let indexByNumber: [UInt16: Int] = Dictionary(
        uniqueKeysWithValues: rows.enumerated().map { ($1.number, $0) })

    /// The row of a name, whatever its case.
    package static func row(named name: String) throws(SettingError) -> SettingRow {
        guard let index = indexByName[name.lowercased()] else {
            throw .unknown(
                name: name, suggestion: EditDistance.closest(to: name, in: rows.map(\.name)))
        }
        return rows[index]
    }

    package static func row(number: UInt16) -> SettingRow? {
        indexByNumber[number].map { rows[$0] }
    }

    /// The settings part of the reference page, in Markdown.
    package static var reference: String {
        var page = "| Setting | Default | Valid | Unit | Changes apply | Meaning |\n"
        page += "|---|---|---|---|---|---|\n"
        for row in rows {
            page += "| `\(row.name)` | \(row.text(row.defaultValue)) | \(row.validText) "
            page += "| \(row.unit.rawValue) | \(row.effect.explanation) | \(row.meaning) |\n"
        }
        return page
    }
}
