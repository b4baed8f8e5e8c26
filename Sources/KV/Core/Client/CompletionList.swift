import Base

/// How something that was proposed or asked has ended.
package enum CompletionStatus: UInt8, Sendable, CaseIterable {
    /// Applied, or answered: the bytes are the result.
    case done
    /// Never proposed, or never answered: without effect.
    case unavailable
    /// Proposed, and whether it was or will be applied cannot be known.
    case unknown
}

/// The end of one command, or one answer to a question.
package struct Completion: Sendable {
    /// What the caller gave.
    package var token: UInt64
    package var status: CompletionStatus
    /// Answers to the same question that are still to come; zero for the last one, and for every
    /// command. It may rise when a range is cut while it is asked.
    package var outstanding: UInt32
    /// Position in the list's bytes.
    package var bytes: ByteRange
}

/// Ends of commands and questions, filled by one call of the client and drained by its caller.
///
/// Owned by the worker; memory is kept. The bytes of a completion are valid until `removeAll`.
package final class CompletionList {
    @exclusivity(unchecked)
    package private(set) var items: [Completion] = []
    @exclusivity(unchecked)
    private var results = ByteWriter(capacity: 4096)

    package init() {}

    package var isEmpty: Bool { items.isEmpty }
    package var count: Int { items.count }

    /// The result's bytes; valid until `removeAll`.
    package func bytes(of completion: Completion) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: results.bytes[completion.bytes.range])
    }

    /// Hands out every completion in order. `body` must not add to the list; it may call the
    /// client's `propose` and `query`.
    package func forEach(_ body: (_ completion: Completion, _ result: RawSpan) -> Void) {
        for item in items { body(item, RawSpan(_unsafeBytes: bytes(of: item))) }
    }

    package func removeAll() {
        items.removeAll(keepingCapacity: true)
        if results.count > RangeLimits.keptBytesMax {
            results = ByteWriter(capacity: 4096)
        } else {
            results.removeAll()
        }
    }

    /// Takes bytes that several completions refer to; returns where they begin.
    func take(_ bytes: RawSpan) -> Int {
        let start = results.count
        results.append(bytes)
        return start
    }

    func append(
        token: UInt64, _ status: CompletionStatus, bytes: ByteRange = .empty,
        outstanding: UInt32 = 0
    ) {
        items.append(
            Completion(token: token, status: status, outstanding: outstanding, bytes: bytes))
    }
}
