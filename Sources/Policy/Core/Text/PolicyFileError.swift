import Base

/// What is wrong with a password or rule file, and what to do about it.
package struct PolicyFileError: Error, Equatable, CustomStringConvertible {
    package var path: String
    /// From 1; nil if the whole file is meant.
    package var line: Int?
    package var problem: String
    package var remedy: String

    package init(path: String, line: Int? = nil, problem: String, remedy: String) {
        self.path = path
        self.line = line
        self.problem = problem
        self.remedy = remedy
    }

    package var description: String {
        (line.map { "\(path):\($0)" } ?? path) + ": \(problem.escapedForLog); \(remedy)"
    }
}
