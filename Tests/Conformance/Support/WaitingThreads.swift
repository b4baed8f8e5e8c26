import Foundation
import Testing

/// Threads for tests that wait: scripts block on their sockets, and a test runner has no more
/// threads than the machine has processors.
final class WaitingThreads: TaskExecutor, @unchecked Sendable {
    static let shared = WaitingThreads(count: 32)

    /// Guards the jobs and says when there are more.
    private let condition = NSCondition()
    private var jobs: [UnownedJob] = []

    init(count: Int) {
        for number in 0..<count {
            let thread = Thread { [self] in run() }
            thread.name = "script \(number)"
            thread.start()
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        condition.withLock {
            jobs.append(job)
            condition.signal()
        }
    }

    private func run() {
        while true {
            let job = condition.withLock {
                while jobs.isEmpty { condition.wait() }
                return jobs.removeFirst()
            }
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}

/// Runs every test of a suite on `WaitingThreads`.
struct WaitingTrait: SuiteTrait, TestTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await body() }
        try await withTaskExecutorPreference(WaitingThreads.shared) { try await body() }
    }
}

extension Trait where Self == WaitingTrait {
    /// Tests of this suite may block.
    static var waiting: Self { Self() }
}
