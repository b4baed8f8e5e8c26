import EventLoops
import Glibc

/// Takes every descriptor that the process may still open, in a process of its own.
enum Descriptors {
    static func takeAll() -> [Int32] {
        var limit = rlimit()
        getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = 256
        setrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
        var taken: [Int32] = []
        while case let copy = dup(2), copy >= 0 { taken.append(copy) }
        return taken
    }

    static func giveBack(_ taken: [Int32]) { for descriptor in taken { close(descriptor) } }
}
