import Base
import CLinux

/// How many files and sockets the process may have open.
///
/// Raised before loops start: io_uring reads it when it begins to accept.
package enum DescriptorLimit {
    /// Beyond this no table of ours could use them, and the kernel's own limit is near.
    static let wanted: UInt64 = 1 << 24

    /// Raises the soft limit as far as the hard one allows. Returns what holds from now on.
    package static func raise() -> UInt64 {
        let goal = min(apus_descriptor_hard_limit(), wanted)
        if goal > apus_descriptor_limit() { _ = apus_set_descriptor_limit(goal) }
        return apus_descriptor_limit()
    }
}
