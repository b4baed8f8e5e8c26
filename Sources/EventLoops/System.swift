import Base
import CLinux

/// Every system call of the loops. Results below zero are minus errno, read by the shim together
/// with the call; an errno that only a fault of ours can cause stops the process here.
enum System {
    static let again = EAGAIN
    static let interrupted = EINTR
    static let cancelled = ECANCELED
    static let noBuffers = ENOBUFS
    static let notConnected = ENOTCONN
    static let inUse = EADDRINUSE
    static let refused = ECONNREFUSED
    static let missing = ENOENT

    /// The process or the machine is out of descriptors or of memory for sockets: accepting
    /// pauses, and is tried again.
    static func isExhaustion(_ error: Int32) -> Bool {
        error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM
    }

    /// Bytes received, zero at the peer's end, or minus errno.
    static func receive(
        _ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int
    ) -> Int {
        while true {
            let result = apus_receive(descriptor, bytes, count)
            if result >= 0 { return result }
            if result == -Int(EINTR) { continue }
            check(Int32(-result), "recv")
            return result
        }
    }

    static func send(
        _ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int
    ) -> Int {
        while true {
            let result = apus_send(descriptor, bytes, count)
            if result >= 0 { return result }
            if result == -Int(EINTR) { continue }
            check(Int32(-result), "send")
            return result
        }
    }

    static func send(_ descriptor: Int32, parts: UnsafePointer<iovec>, count: Int) -> Int {
        while true {
            let result = apus_send_vector(descriptor, parts, Int32(count))
            if result >= 0 { return result }
            if result == -Int(EINTR) { continue }
            check(Int32(-result), "sendmsg")
            return result
        }
    }

    /// A new descriptor or minus errno; connections that died in the queue are skipped.
    static func accept(
        _ listener: Int32, peer: inout sockaddr_storage, size: inout UInt32
    ) -> Int32 {
        while true {
            let result = apus_accept(listener, &peer, &size)
            if result >= 0 { return result }
            switch -result {
            case EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,
                EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH:
                continue
            default:
                check(-result, "accept4")
                return result
            }
        }
    }

    static func close(_ descriptor: Int32) {
        // Linux releases the descriptor whatever close answers, so only EBADF is of interest.
        let result = apus_close(descriptor)
        invariant(result != -EBADF, "close of descriptor \(descriptor), which is not open")
    }

    static func signal(_ descriptor: Int32) {
        let result = apus_eventfd_signal(descriptor)
        invariant(result == 0 || result == -EAGAIN, "eventfd write failed: \(-result)")
    }

    /// Stops on an errno that says that our own bookkeeping is wrong.
    static func check(_ error: Int32, _ call: StaticString) {
        invariant(
            error != EBADF && error != EFAULT && error != ENOTSOCK && error != EINVAL,
            "\(call) failed with \(describe(error)): the loop's bookkeeping is wrong")
    }

    static func describe(_ error: Int32) -> String {
        guard let text = strerror(error) else { return "errno \(error)" }
        return "\(String(cString: text)) (errno \(error))"
    }

    /// The content of a small file, or nil: for the kernel's settings under /proc and /sys.
    static func text(ofFile path: String) -> String? {
        let descriptor = apus_file_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            guard count >= 0 else { return nil }
            return String(
                decoding: UnsafeRawBufferPointer(rebasing: buffer[..<count]), as: UTF8.self)
        }
    }

    static func removeFile(_ path: String) { _ = unlink(path) }

    static var now: Instant { Instant(nanoseconds: apus_boot_clock()) }
    static var wallTime: WallTime { WallTime(milliseconds: apus_wall_clock() / 1_000_000) }
}
