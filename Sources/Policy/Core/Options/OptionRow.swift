import Base

/// When a changed option takes hold.
package enum OptionChange: String, Sendable {
    /// At a reload (SIGHUP), without dropping a connection.
    case reload
    /// At the next start.
    case restart
}

/// One option: its name, type and range, where its value lies, and why it exists.
package struct OptionRow<Root>: Sendable {
    /// Path within its root, with dots.
    package let name: String
    /// Type and range in words.
    package let valid: String
    package let change: OptionChange
    package let reason: String
    /// The value in the words of the configuration.
    package let read: @Sendable (Root) -> OptionLeaf
    /// Writes a value; says what is wrong with it if anything is.
    package let write: @Sendable (inout Root, OptionLeaf) -> String?
}

/// The types of options. Each reads and prints one type and checks its range.
extension OptionRow {
    /// `valid` is put behind "must be" if the text cannot be read.
    private static func scalar(
        _ name: String, _ valid: String, _ change: OptionChange, _ reason: String,
        read: @escaping @Sendable (Root) -> String,
        write: @escaping @Sendable (inout Root, String) -> Bool
    ) -> OptionRow {
        OptionRow(
            name: name, valid: valid, change: change, reason: reason,
            read: { .scalar(read($0)) },
            write: { root, leaf in
                guard case .scalar(let text) = leaf else { return "must be \(valid), not a list" }
                return write(&root, text) ? nil : "'\(text)' is not allowed; must be \(valid)"
            })
    }

    static func flag(
        _ name: String, _ path: WritableKeyPath<Root, Bool> & Sendable, _ change: OptionChange,
        _ reason: String
    ) -> OptionRow {
        scalar(
            name, "true or false", change, reason, read: { $0[keyPath: path] ? "true" : "false" }
        ) { root, text in
            guard let value = Units.flag(text) else { return false }
            root[keyPath: path] = value
            return true
        }
    }

    /// `zero` is the word that stands for 0.
    static func integer(
        _ name: String, _ path: WritableKeyPath<Root, Int> & Sendable, _ range: ClosedRange<Int>,
        zero: String? = nil, _ change: OptionChange, _ reason: String
    ) -> OptionRow {
        let valid =
            (zero.map { "\($0) or " } ?? "")
            + "\(max(range.lowerBound, zero == nil ? 0 : 1)) to \(range.upperBound)"
        return scalar(
            name, valid, change, reason,
            read: { root in
                let value = root[keyPath: path]
                return value == 0 ? zero ?? "0" : String(value)
            }
        ) { root, text in
            guard let value = text == zero ? 0 : Int(text), range.contains(value) else {
                return false
            }
            root[keyPath: path] = value
            return true
        }
    }

    static func bytes(
        _ name: String, _ path: WritableKeyPath<Root, Int> & Sendable, _ range: ClosedRange<Int>,
        zero: String? = nil, _ change: OptionChange, _ reason: String
    ) -> OptionRow {
        let least = Units.text(bytes: max(range.lowerBound, zero == nil ? 0 : 1))
        let valid =
            (zero.map { "\($0) or " } ?? "")
            + "bytes (with KiB, MiB, GiB, KB, MB, GB), \(least) to "
            + Units.text(bytes: range.upperBound)
        return scalar(
            name, valid, change, reason,
            read: { root in
                let value = root[keyPath: path]
                return value == 0 ? zero ?? "0" : Units.text(bytes: value)
            }
        ) { root, text in
            guard let value = text == zero ? 0 : Units.bytes(text), range.contains(value) else {
                return false
            }
            root[keyPath: path] = value
            return true
        }
    }

    static func duration(
        _ name: String, _ path: WritableKeyPath<Root, Duration> & Sendable,
        _ range: ClosedRange<Duration>, _ change: OptionChange, _ reason: String
    ) -> OptionRow {
        let valid =
            "a time (with ms, s, m, h, d), \(Units.text(duration: range.lowerBound)) to "
            + Units.text(duration: range.upperBound)
        return scalar(
            name, valid, change, reason, read: { Units.text(duration: $0[keyPath: path]) }
        ) { root, text in
            guard let value = Units.duration(text), range.contains(value) else { return false }
            root[keyPath: path] = value
            return true
        }
    }

    static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String, _ path: WritableKeyPath<Root, Value> & Sendable, _ change: OptionChange,
        _ reason: String
    ) -> OptionRow {
        let valid = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return scalar(
            name, "one of " + valid, change, reason, read: { $0[keyPath: path].rawValue }
        ) { root, text in
            guard let value = Value(rawValue: text) else { return false }
            root[keyPath: path] = value
            return true
        }
    }

    static func text(
        _ name: String, _ path: WritableKeyPath<Root, String> & Sendable, _ valid: String,
        _ change: OptionChange, _ reason: String,
        where isValid: @escaping @Sendable (String) -> Bool = { _ in true }
    ) -> OptionRow {
        scalar(name, valid, change, reason, read: { $0[keyPath: path] }) { root, text in
            guard text.isEmpty || isValid(text) else { return false }
            root[keyPath: path] = text
            return true
        }
    }

    static func address(
        _ name: String, _ path: WritableKeyPath<Root, ListenAddress> & Sendable,
        _ change: OptionChange, _ reason: String
    ) -> OptionRow {
        scalar(
            name, "an address such as 127.0.0.1:1883, [::]:1883, :1883 or unix:/run/apus.sock",
            change, reason, read: { $0[keyPath: path].description }
        ) { root, text in
            guard let address = ListenAddress(text) else { return false }
            root[keyPath: path] = address
            return true
        }
    }

    /// `parse` gives nil for an item that is not allowed.
    static func list<Item: Sendable>(
        _ name: String, _ path: WritableKeyPath<Root, [Item]> & Sendable, _ valid: String,
        _ change: OptionChange, _ reason: String,
        print: @escaping @Sendable (Item) -> String,
        parse: @escaping @Sendable (String) -> Item?
    ) -> OptionRow {
        OptionRow(
            name: name, valid: "a list of " + valid, change: change, reason: reason,
            read: { .list($0[keyPath: path].map(print)) },
            write: { root, leaf in
                var items: [Item] = []
                for text in leaf.items {
                    guard let item = parse(text) else {
                        return "'\(text)' is not allowed; must be a list of \(valid)"
                    }
                    items.append(item)
                }
                root[keyPath: path] = items
                return nil
            })
    }
}
