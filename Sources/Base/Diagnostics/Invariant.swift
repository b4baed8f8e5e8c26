/// Stops the process when one of our own assumptions is broken, in every build configuration.
///
/// For faults that are ours alone. Bytes from outside and failures of the world never reach an
/// invariant: the first are values with a reason code, the second are typed results.
@inlinable
package func invariant(
    _ condition: @autoclosure () -> Bool, _ state: @autoclosure () -> String,
    file: StaticString = #fileID, line: UInt = #line
) {
    if !condition() { invariantFailed(state(), file: file, line: line) }
}

/// Stops the process and prints the state that should have been impossible.
@usableFromInline
package func invariantFailed(
    _ state: String, file: StaticString = #fileID, line: UInt = #line
) -> Never {
    fatalError("invariant broken at \(file):\(line): \(state)")
}
