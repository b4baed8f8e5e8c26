import Base

/// The parts of an upgrade request, by position, while it is judged.
struct UpgradeFields {
    private var method = 0..<0
    private var target = 0..<0
    private var hostCount = 0
    private var key = 0..<0
    private var keyCount = 0
    private var version = 0..<0
    private var origin = 0..<0
    private var originCount = 0
    private var hasUpgrade = false
    private var hasConnectionUpgrade = false
    private var hasBody = false
    private var subprotocol = Subprotocol.none
    private var offersSubprotocol = false

    /// Reads request line and fields, up to the empty line that ends at `end`.
    mutating func read(
        _ bytes: RawSpan, end: Int, _ options: UpgradeOptions
    ) -> UpgradeRefusal? {
        var start = 0
        var lineCount = 0
        while start < end - 2 {
            guard let line = lineEnd(bytes, from: start) else {
                return .badRequest("a line of the header has a control character")
            }
            let refusal =
                lineCount == 0
                ? readRequestLine(bytes, start..<line) : readField(bytes, start..<line)
            if let refusal { return refusal }
            lineCount += 1
            guard lineCount <= options.headerCountMax + 1 else { return .headerTooLarge }
            start = line + 2
        }
        return nil
    }

    /// Where the line's CR LF begins; nil for any other control character before it.
    private func lineEnd(_ bytes: RawSpan, from start: Int) -> Int? {
        var index = start
        while HeaderText.isValueByte(bytes.byte(index)) { index += 1 }
        return bytes.byte(index) == 0x0D && bytes.byte(index + 1) == 0x0A ? index : nil
    }

    private mutating func readRequestLine(
        _ bytes: RawSpan, _ line: Range<Int>
    ) -> UpgradeRefusal? {
        guard let first = line.first(where: { bytes.byte($0) == 0x20 }),
            let last = line.last(where: { bytes.byte($0) == 0x20 }), first < last
        else { return .badRequest("the request line has not three parts") }
        method = line.lowerBound..<first
        target = first + 1..<last
        let version = last + 1..<line.upperBound
        guard !target.isEmpty, target.allSatisfy({ bytes.byte($0) > 0x20 }) else {
            return .badRequest("the request line has not three parts")
        }
        guard HeaderText.equals(bytes, version, Array("HTTP/1.1".utf8), ignoringCase: false) else {
            let name = Array("HTTP/".utf8)
            let isHTTP =
                version.count > name.count
                && HeaderText.equals(bytes, version.prefix(name.count), name, ignoringCase: false)
            return isHTTP ? .versionNotSupported : .badRequest("not an HTTP request")
        }
        return nil
    }

    private mutating func readField(_ bytes: RawSpan, _ line: Range<Int>) -> UpgradeRefusal? {
        guard let colon = line.first(where: { bytes.byte($0) == UInt8(ascii: ":") }),
            colon > line.lowerBound,
            (line.lowerBound..<colon).allSatisfy({ HeaderText.isTokenByte(bytes.byte($0)) })
        else { return .badRequest("a header field has no proper name") }
        let name = line.lowerBound..<colon
        let value = HeaderText.trimmed(bytes, colon + 1..<line.upperBound)
        note(bytes, name, value)
        return nil
    }

    private mutating func note(_ bytes: RawSpan, _ name: Range<Int>, _ value: Range<Int>) {
        func named(_ text: StaticString) -> Bool {
            HeaderText.matches(bytes, name, lowercase: text)
        }
        func lists(_ text: StaticString) -> Bool {
            var found = false
            HeaderText.forEachElement(bytes, value) {
                found = HeaderText.matches(bytes, $0, lowercase: text)
                return !found
            }
            return found
        }
        if named("host") {
            hostCount += 1
        } else if named("upgrade") {
            hasUpgrade = hasUpgrade || lists("websocket")
        } else if named("connection") {
            hasConnectionUpgrade = hasConnectionUpgrade || lists("upgrade")
        } else if named("sec-websocket-key") {
            key = value
            keyCount += 1
        } else if named("sec-websocket-version") {
            version = value
        } else if named("sec-websocket-protocol") {
            noteSubprotocols(bytes, value)
        } else if named("origin") {
            origin = value
            originCount += 1
        } else if named("transfer-encoding") {
            hasBody = true
        } else if named("content-length") {
            hasBody = hasBody || !HeaderText.matches(bytes, value, lowercase: "0")
        }
    }

    /// The first name that we know wins: the client lists them in its order of preference.
    private mutating func noteSubprotocols(_ bytes: RawSpan, _ value: Range<Int>) {
        HeaderText.forEachElement(bytes, value) { element in
            offersSubprotocol = true
            guard subprotocol == .none else { return false }
            for known in [Subprotocol.mqtt, .mqttv31] {
                let name = Array(known.name.utf8)
                if HeaderText.equals(bytes, element, name, ignoringCase: false) {
                    subprotocol = known
                }
            }
            return true
        }
    }

    /// The verdict over what was read.
    func judge(
        _ bytes: RawSpan, _ options: UpgradeOptions, consumed: Int
    ) -> UpgradeResult {
        if let refusal = refusal(bytes, options) { return .refused(refusal) }
        let text = bytes.extracting(key).array
        guard keyCount == 1, Base64.decode(text)?.count == 16 else {
            return .refused(.badRequest("Sec-WebSocket-Key is not 16 bytes in base64"))
        }
        return .complete(
            UpgradeRequest(
                consumed: consumed, subprotocol: subprotocol,
                acceptKey: UpgradeEncoder.acceptKey(for: text)))
    }

    private func refusal(_ bytes: RawSpan, _ options: UpgradeOptions) -> UpgradeRefusal? {
        guard HeaderText.equals(bytes, method, Array("GET".utf8), ignoringCase: false) else {
            return .methodNotAllowed
        }
        guard !hasBody else { return .badRequest("a request for a WebSocket has no body") }
        guard hostCount == 1 else { return .badRequest("a request names one host") }
        guard HeaderText.equals(bytes, path(bytes), options.path, ignoringCase: false) else {
            return .pathNotFound
        }
        guard hasUpgrade, hasConnectionUpgrade,
            HeaderText.matches(bytes, version, lowercase: "13")
        else { return .upgradeRequired }
        guard allowsOrigin(bytes, options) else { return .originNotAllowed }
        guard subprotocol != .none || !options.requiresSubprotocol else {
            return .badRequest(
                offersSubprotocol
                    ? "no subprotocol offered is mqtt or mqttv3.1"
                    : "Sec-WebSocket-Protocol must offer mqtt or mqttv3.1")
        }
        return nil
    }

    /// The path of the target, which may be a whole URI (RFC 6455, 4.2.1), without its query.
    private func path(_ bytes: RawSpan) -> Range<Int> {
        var start = target.lowerBound
        for scheme in ["http://", "https://"] as [StaticString]
        where target.count > scheme.utf8CodeUnitCount {
            let prefix = target.prefix(scheme.utf8CodeUnitCount)
            guard HeaderText.matches(bytes, prefix, lowercase: scheme) else { continue }
            let authority = prefix.upperBound..<target.upperBound
            start = authority.first { bytes.byte($0) == UInt8(ascii: "/") } ?? target.upperBound
        }
        let rest = start..<target.upperBound
        return start..<(rest.first { bytes.byte($0) == UInt8(ascii: "?") } ?? target.upperBound)
    }

    private func allowsOrigin(_ bytes: RawSpan, _ options: UpgradeOptions) -> Bool {
        guard !options.origins.isEmpty, originCount > 0 else { return true }
        return originCount == 1
            && options.origins.contains {
                HeaderText.equals(bytes, origin, $0, ignoringCase: true)
            }
    }
}
