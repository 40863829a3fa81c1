import Foundation
import Testing

@testable import Archive

@Suite struct WriterTests {
    private func entry(_ header: [UInt8]) throws -> ArchiveEntry {
        var parser = ArchiveParser()
        guard case .entry(let entry) = try parser.feed(header.span).event else { throw ArchiveError.truncated }
        return entry
    }

    @Test(arguments: [0, 1, 511, 512, 8_589_934_591, 8_589_934_592, 1 << 45] as [UInt64], [1, 99, 100, 101, 5000])
    func ourParserReadsThem(size: UInt64, length: Int) throws {
        let path = [UInt8](repeating: UInt8(ascii: "p"), count: length)
        let entry = try entry(ArchiveWriter.file(path, size: size))
        #expect(entry.kind == .file && entry.path == path && entry.size == size && entry.mode == 0o644)
        #expect((size + UInt64(ArchiveWriter.padding(size))) % 512 == 0)
    }

    @Test(arguments: [5, 200])
    func directories(length: Int) throws {
        let path = [UInt8](repeating: UInt8(ascii: "d"), count: length) + [0x2F]
        let entry = try entry(ArchiveWriter.directory(path))
        #expect(entry.kind == .directory && entry.path == path)
    }

    /// Debian's tar reads what we write, a member beyond 8 GiB included (a sparse file: the data need not be there).
    @Test func tarReadsThem() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("swiftlet-\(UUID().uuidString).tar")
        defer { try? FileManager.default.removeItem(at: url) }
        let size: UInt64 = 9 << 30
        let long = String(repeating: "long/", count: 30) + "name"
        var bytes = ArchiveWriter.directory(Array("dir/".utf8))
        bytes += ArchiveWriter.file(Array(long.utf8), size: 3) + Array("abc".utf8) + [UInt8](repeating: 0, count: ArchiveWriter.padding(3))
        bytes += ArchiveWriter.file(Array("large".utf8), size: size)
        try Data(bytes).write(to: url)
        let file = try FileHandle(forWritingTo: url)
        try file.seek(toOffset: UInt64(bytes.count) + size)
        try file.write(contentsOf: Data(ArchiveWriter.file(Array("last".utf8), size: 0) + ArchiveWriter.end))
        try file.close()

        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/tar")
        process.arguments = ["tvf", url.path]
        let (output, error) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = error
        try process.run()
        let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self).split(separator: "\n").map {
            $0.split(separator: " ")
        }
        #expect(error.fileHandleForReading.readDataToEndOfFile().isEmpty)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(lines.map { $0.last ?? "" } == ["dir/", Substring(long), "large", "last"])
        #expect(lines.map { $0[2] } == ["0", "3", "9663676416", "0"])
        #expect(lines.map { $0[0] } == ["drwxr-xr-x", "-rw-r--r--", "-rw-r--r--", "-rw-r--r--"])
    }
}
