import Glibc

/// Lines on standard output.
enum Output {
    static func line(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }

    static func write(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + sent, bytes.count - sent)
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    /// Right-aligned, with at least one blank before it.
    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }

    /// So many decimals.
    static func plain(_ value: Double, decimals: Int = 2) -> String {
        var scale = 1
        for _ in 0..<decimals { scale *= 10 }
        let whole = Int((value.magnitude * Double(scale)).rounded())
        let sign = value < 0 && whole > 0 ? "-" : ""
        let fraction = String(whole % scale)
        let zeros = String(repeating: "0", count: decimals - fraction.count)
        return decimals == 0 ? "\(sign)\(whole)" : "\(sign)\(whole / scale).\(zeros)\(fraction)"
    }
}

extension Output {
    /// A benchmark that does not do what it measures is worse than none.
    static func fail(_ text: String) -> Never {
        line(text)
        exit(3)
    }
}
