// A directory that is gone with its owner.
import Foundation

public final class TemporaryDirectory: Sendable {
    public let path: String

    /// In `parent`, or where temporary files go.
    public init(in parent: String? = nil) throws {
        let directory = parent.map { URL(fileURLWithPath: $0) } ?? FileManager.default.temporaryDirectory
        let url = directory.appendingPathComponent("swiftlet-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, making its directories; returns its whole path.
    @discardableResult
    public func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let whole = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: (whole as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: whole))
        return whole
    }

    @discardableResult
    public func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }
}
