import Base

/// The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
///
/// ```
///  client                                     server
///    n,,n=user,r=cnonce              ->
///                                    <-       r=cnonce+snonce,s=salt,i=iterations
///    c=biws,r=cnonce+snonce,p=proof  ->
///                                    <-       v=signature
/// ```
/// Pure; costs two keyed hashes, so it runs on a loop. An unknown user gets a salt that is made
/// from its name and fails at the end like a wrong password.
package struct ScramMachine: Sendable {
    package static let method = "SCRAM-SHA-256"
    /// Longest message of a client.
    static let messageBytesMax = 4_096

    /// The user, once the first message was read.
    package private(set) var user = ""
    private let serverNonce: [UInt8]
    private let decoyKey: [UInt8]
    private var storedKey: [UInt8] = []
    private var serverKey: [UInt8] = []
    /// The client's first message without its header, a comma, and our reply.
    private var transcript: [UInt8] = []
    private var header: [UInt8] = []
    private var nonce: [UInt8] = []

    /// `serverNonce` is unpredictable printable text, `decoyKey` a secret of this process.
    package init(serverNonce: [UInt8], decoyKey: [UInt8]) {
        self.serverNonce = serverNonce
        self.decoyKey = decoyKey
    }

    /// The reply to the client's first message.
    package mutating func receiveFirst(
        _ data: [UInt8], _ entry: (String) -> PasswordEntry?
    ) -> Result<[UInt8], AuthenticationRefusal> {
        let parts = data.split(
            separator: UInt8(ascii: ","), maxSplits: 2, omittingEmptySubsequences: false)
        guard data.count <= Self.messageBytesMax, parts.count == 3,
            parts[0].elementsEqual("n".utf8) || parts[0].elementsEqual("y".utf8),
            let fields = Self.fields(parts[2]), fields.count >= 2, fields[0].name == "n",
            let user = Self.userName(fields[0].value), fields[1].name == "r",
            !fields[1].value.isEmpty
        else { return .failure(.notAuthorized("malformed first message of SCRAM")) }
        guard parts[1].isEmpty || parts[1].elementsEqual([0x61, 0x3D] + fields[0].value) else {
            return .failure(.notAuthorized("SCRAM on behalf of another user"))
        }
        self.user = user
        header = parts[0] + [0x2C] + parts[1] + [0x2C]
        nonce = fields[1].value + serverNonce
        let (salt, iterations) = takeKeys(entry(user))
        let reply =
            Array("r=".utf8) + nonce + Array(",s=".utf8) + Base64.encode(salt)
            + Array(",i=\(iterations)".utf8)
        transcript = parts[2] + [0x2C] + reply
        return .success(reply)
    }

    /// The reply to the client's second message, if its proof is right.
    package func receiveFinal(_ data: [UInt8]) -> Result<[UInt8], AuthenticationRefusal> {
        guard data.count <= Self.messageBytesMax, let fields = Self.fields(data[...]),
            fields.count >= 3, fields[0].name == "c", fields[1].name == "r",
            let last = fields.last, last.name == "p", let proof = Base64.decode(last.value),
            proof.count == 32
        else { return .failure(.notAuthorized("malformed final message of SCRAM")) }
        guard Base64.decode(fields[0].value) == header, fields[1].value == nonce else {
            return .failure(.notAuthorized("SCRAM message does not continue the first"))
        }
        let message = transcript + [0x2C] + data.dropLast(last.value.count + 3)
        let signature = KeyedDigest.hmacSHA256(key: storedKey, message)
        let clientKey = zip(proof, signature).map { $0 ^ $1 }
        guard !serverKey.isEmpty, ConstantTime.equals(Digest.sha256(clientKey), storedKey) else {
            return .failure(.badUserOrPassword("unknown user or wrong password"))
        }
        let answer = KeyedDigest.hmacSHA256(key: serverKey, message)
        return .success(Array("v=".utf8) + Base64.encode(answer))
    }

    private mutating func takeKeys(_ entry: PasswordEntry?) -> (salt: [UInt8], iterations: Int) {
        if case .scram(let iterations, let salt, let storedKey, let serverKey) = entry {
            self.storedKey = storedKey
            self.serverKey = serverKey
            return (salt, iterations)
        }
        // Keys that nobody knows: the proof cannot be right, whatever its form.
        let decoy = KeyedDigest.hmacSHA256(key: decoyKey, Array(user.utf8))
        storedKey = decoy
        return (Array(decoy.prefix(PasswordEntry.saltCount)), PasswordEntry.scramIterations)
    }

    /// `a=x,b=y` as pairs; nil if one of them has no name.
    private static func fields(_ text: ArraySlice<UInt8>) -> [(name: String, value: [UInt8])]? {
        var fields: [(name: String, value: [UInt8])] = []
        for part in text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            guard part.count >= 2, part[part.startIndex + 1] == UInt8(ascii: "=") else {
                return nil
            }
            let name = String(UnicodeScalar(part[part.startIndex]))
            fields.append((name, Array(part.dropFirst(2))))
        }
        return fields
    }

    /// A user's name with `=2C` and `=3D` for comma and equals sign.
    private static func userName(_ text: [UInt8]) -> String? {
        guard let text = String(validating: text, as: UTF8.self), !text.isEmpty else { return nil }
        var name = ""
        var rest = text[...]
        while let mark = rest.firstIndex(of: "=") {
            name += rest[..<mark]
            switch rest[mark...].prefix(3) {
            case "=2C": name += ","
            case "=3D": name += "="
            default: return nil
            }
            rest = rest[mark...].dropFirst(3)
        }
        return name + rest
    }
}

extension AuthenticationRefusal: Error {}
