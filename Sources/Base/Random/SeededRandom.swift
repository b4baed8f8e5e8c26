/// Deterministic random numbers (SplitMix64): the only source of chance in Core code.
///
/// The shell seeds it from the system, tests and simulator from a printed seed. Not for secrets.
@usableFromInline
package struct SeededRandom: RandomNumberGenerator, Sendable {
    @usableFromInline var state: UInt64

    @inlinable
    package init(seed: UInt64) { state = seed }

    @inlinable
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed &>> 31)
    }

    /// A number in `0 ..< bound`, by multiplication; the bias is below 2^-32 for small bounds.
    @inlinable
    package mutating func below(_ bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// True with the given probability in per cent.
    @inlinable
    package mutating func chance(percent: Int) -> Bool { below(100) < percent }
}
