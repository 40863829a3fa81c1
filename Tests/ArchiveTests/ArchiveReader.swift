// The parser driven in its two ways, and archives to drive it with.
import Archive
import Foundation

/// A member with its unpacked bytes.
struct Member {
    var entry: ArchiveEntry
    var contents: [UInt8]

    var path: String { String(decoding: entry.path, as: UTF8.self) }
}

/// As a stream, in pieces of `step` bytes; sparse files come out whole.
func readStream(_ archive: [UInt8], step: Int = 4096) throws -> [Member] {
    var parser = ArchiveParser()
    var members: [Member] = []
    var stored: [UInt8] = []
    var start = 0
    while start < archive.count {
        let piece = Array(archive[start..<min(start + step, archive.count)])
        start += piece.count
        var index = 0
        while index < piece.count {
            if parser.dataRemaining > 0, !members.isEmpty, stored.count < Int(members[members.count - 1].entry.storedSize) {
                let count = min(Int(parser.dataRemaining), piece.count - index)
                stored += piece[index..<index + count]
                parser.consumeData(count)
                index += count
                if parser.dataRemaining == 0 { members[members.count - 1].contents = expand(members[members.count - 1].entry, stored) }
                continue
            }
            let (event, consumed) = try parser.feed(piece.span, from: index)
            index += consumed
            switch event {
            case .needsMore: break
            case .end: return members
            case .entry(let entry):
                stored = []
                members.append(Member(entry: entry, contents: expand(entry, [])))
            }
        }
    }
    try parser.finish()
    return members
}

/// By headers only: data are skipped unseen, as for a file that is read at `position`.
func readHeaders(_ archive: [UInt8]) throws -> [ArchiveEntry] {
    var parser = ArchiveParser()
    var entries: [ArchiveEntry] = []
    while parser.position < UInt64(archive.count) {
        let position = Int(parser.position)
        let window = Array(archive[position..<min(position + 1024, archive.count)])
        let (event, _) = try parser.feed(window.span)
        switch event {
        case .needsMore: break
        case .end: return entries
        case .entry(let entry):
            entries.append(entry)
            parser.skipData()
        }
    }
    try parser.finish()
    return entries
}

private func expand(_ entry: ArchiveEntry, _ stored: [UInt8]) -> [UInt8] {
    guard let segments = entry.segments else { return stored }
    var contents = [UInt8](repeating: 0, count: Int(entry.size))
    var index = 0
    for segment in segments {
        let count = min(Int(segment.length), stored.count - index)
        contents.replaceSubrange(Int(segment.offset)..<Int(segment.offset) + count, with: stored[index..<index + count])
        index += count
    }
    return contents
}

/// What a shell script writes to standard output, run in a fresh directory.
func shell(_ script: String) throws -> [UInt8] {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("archive-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let process = Foundation.Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-ec", script]
    process.currentDirectoryURL = directory
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Array(bytes)
}

/// One header block with a right checksum, followed by padded data.
struct Block {
    var name = "file"
    var type: UInt8 = UInt8(ascii: "0")
    var size: String?
    var data: [UInt8] = []
    var linkName = ""
    var magic: [UInt8] = Array("ustar\u{0}00".utf8)
    /// Bytes at these offsets replace what is there.
    var patches: [Int: [UInt8]] = [:]

    var bytes: [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ value: [UInt8], at offset: Int) { block.replaceSubrange(offset..<offset + value.count, with: value) }
        put(Array(name.utf8.prefix(100)), at: 0)
        put(Array("0000644\0".utf8), at: 100)
        put(Array("0000000\0".utf8), at: 108)
        put(Array("0000000\0".utf8), at: 116)
        let octal = String(data.count, radix: 8)
        put(Array((size ?? String(repeating: "0", count: 11 - octal.count) + octal + "\0").utf8), at: 124)
        put(Array("00000000000\0".utf8), at: 136)
        block[156] = type
        put(Array(linkName.utf8.prefix(100)), at: 157)
        put(magic, at: 257)
        for (offset, value) in patches { put(value, at: offset) }
        put(Array("        ".utf8), at: 148)
        let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
        put(Array((String(repeating: "0", count: 6 - sum.count) + sum + "\0 ").utf8), at: 148)
        return block + data + [UInt8](repeating: 0, count: (512 - data.count % 512) % 512)
    }

    /// A pax header with these records.
    static func pax(_ records: [(String, String)]) -> Block {
        var payload: [UInt8] = []
        for (key, value) in records {
            let rest = " \(key)=\(value)\n".utf8.count
            var length = rest + 1
            while String(length).utf8.count + rest != length { length += 1 }
            payload += Array("\(length) \(key)=\(value)\n".utf8)
        }
        return Block(name: "PaxHeaders/x", type: UInt8(ascii: "x"), data: payload)
    }
}
