// Answers, read as Linux's own declarations lay them out.
import CFUSE
import Testing

@testable import FUSE

/// The answer's header, and what is behind it.
private func read<Value>(_ answer: Answer, as type: Value.Type, at offset: Int = 16) throws -> (header: fuse_out_header, body: Value) {
    let bytes = answer.bytes
    try #require(bytes.count >= offset + MemoryLayout<Value>.size)
    // SAFETY: the lengths were checked; every bit pattern is a value of these structures.
    return unsafe bytes.withUnsafeBytes {
        unsafe ($0.loadUnaligned(as: fuse_out_header.self), $0.loadUnaligned(fromByteOffset: offset, as: type))
    }
}

private let attributes: Attributes = {
    var attributes = Attributes()
    attributes.inode = 11
    attributes.size = 1 << 40
    attributes.blocks = 12
    attributes.accessed = FileTime(seconds: -1, nanoseconds: 1)
    attributes.modified = FileTime(seconds: 2, nanoseconds: 3)
    attributes.changed = FileTime(seconds: 4, nanoseconds: 5)
    attributes.mode = 0o100644
    attributes.links = 2
    attributes.user = 1000
    attributes.group = 1001
    attributes.device = 0x103
    attributes.blockSize = 4096
    attributes.isMountPoint = true
    return attributes
}()

private func check(_ read: fuse_attr) {
    #expect(read.ino == 11 && read.size == 1 << 40 && read.blocks == 12)
    #expect(
        read.atime == UInt64(bitPattern: -1) && read.atimensec == 1 && read.mtime == 2 && read.mtimensec == 3 && read.ctime == 4
            && read.ctimensec == 5)
    #expect(read.mode == 0o100644 && read.nlink == 2 && read.uid == 1000 && read.gid == 1001 && read.rdev == 0x103 && read.blksize == 4096)
    #expect(read.flags == UInt32(FUSE_ATTR_SUBMOUNT))
}

private let entry = Entry(node: 77, attributes: attributes, validity: Validity(entry: 1_500_000_000, attributes: 2_000_000_001))

@Test func errorsAreNegative() throws {
    let answer = Answer(to: 9, errno: 2)
    #expect(answer.bytes.count == 16)
    let header = try read(answer, as: fuse_out_header.self, at: 0).body
    #expect(header.len == 16 && header.error == -2 && header.unique == 9)
}

@Test func answersHaveTheLengthThatTheyTell() {
    let answers: [(Answer, Int)] = [
        (Answer(to: 1), 0), (Answer(to: 1, bytes: [1, 2, 3]), 3), (Answer(to: 1, entry), MemoryLayout<fuse_entry_out>.size),
        (Answer(to: 1, attributes, validity: 1), MemoryLayout<fuse_attr_out>.size),
        (Answer(to: 1, handle: 1, flags: 0), MemoryLayout<fuse_open_out>.size),
        (Answer(to: 1, entry, handle: 1, flags: 0), MemoryLayout<fuse_entry_out>.size + MemoryLayout<fuse_open_out>.size),
        (Answer(to: 1, count: 5), MemoryLayout<fuse_write_out>.size), (Answer(to: 1, offset: 5), MemoryLayout<fuse_lseek_out>.size),
        (Answer(to: 1, FileSystemStatus()), MemoryLayout<fuse_statfs_out>.size),
        (Answer(to: 1, Welcome(readAhead: 0, flags: 0, writeLimit: 0)), MemoryLayout<fuse_init_out>.size),
    ]
    for (answer, length) in answers {
        #expect(answer.bytes.count == 16 + length)
        let told = answer.bytes[0..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        #expect(told == 16 + length)
    }
}

@Test func entriesAndAttributes() throws {
    let (header, out) = try read(Answer(to: 3, entry), as: fuse_entry_out.self)
    #expect(header.error == 0 && header.unique == 3)
    #expect(out.nodeid == 77 && out.generation == 0)
    #expect(out.entry_valid == 1 && out.entry_valid_nsec == 500_000_000 && out.attr_valid == 2 && out.attr_valid_nsec == 1)
    check(out.attr)
    let stat = try read(Answer(to: 3, attributes, validity: 2_000_000_001), as: fuse_attr_out.self).body
    #expect(stat.attr_valid == 2 && stat.attr_valid_nsec == 1)
    check(stat.attr)
    let opened = try read(Answer(to: 3, entry, handle: 5, flags: 2), as: fuse_open_out.self, at: 16 + MemoryLayout<fuse_entry_out>.size).body
    #expect(opened.fh == 5 && opened.open_flags == 2)
}

@Test func theWelcome() throws {
    let out = try read(Answer(to: 1, Welcome(readAhead: 1 << 17, flags: 5 << 32 | 1 << 13, writeLimit: 1 << 20)), as: fuse_init_out.self).body
    #expect(out.major == 7 && out.minor == 41 && out.max_readahead == 1 << 17 && out.flags == 1 << 13 && out.flags2 == 5)
    #expect(out.max_write == 1 << 20 && out.max_pages == 256 && out.time_gran == 1)
}

@Test func fileSystems() throws {
    var status = FileSystemStatus()
    status.blocks = 1
    status.freeBlocks = 2
    status.availableBlocks = 3
    status.files = 4
    status.freeFiles = 5
    status.blockSize = 6
    status.nameLength = 7
    status.fragmentSize = 8
    let out = try read(Answer(to: 1, status), as: fuse_statfs_out.self).body.st
    #expect(out.blocks == 1 && out.bfree == 2 && out.bavail == 3 && out.files == 4 && out.ffree == 5)
    #expect(out.bsize == 6 && out.namelen == 7 && out.frsize == 8)
}

@Test func listingsAreAlignedAndFit() throws {
    for withEntries in [false, true] {
        for limit in [0, 24, 31, 32, 160, 500, 4096] {
            var listing = Listing(limit: limit, hasEntries: withEntries)
            var names: [[UInt8]] = []
            while true {
                let name = [UInt8](repeating: 0x61, count: 1 + names.count % 20)
                guard listing.append(name, inode: UInt64(names.count), type: 8, next: UInt64(names.count + 1), entry: withEntries ? entry : nil)
                else { break }
                names.append(name)
            }
            let bytes = listing.bytes
            #expect(bytes.count <= limit && bytes.count.isMultiple(of: 8))
            var index = 0
            for (number, name) in names.enumerated() {
                if withEntries { index += MemoryLayout<fuse_entry_out>.size }
                // SAFETY: the structure lies within the listing, as its count of names says.
                let found = unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: index, as: fuse_dirent.self) }
                #expect(found.ino == UInt64(number) && found.off == UInt64(number + 1) && found.namelen == UInt32(name.count) && found.type == 8)
                #expect(Array(bytes[index + 24..<index + 24 + name.count]) == name)
                index += (24 + name.count + 7) / 8 * 8
            }
            #expect(index == bytes.count)
        }
    }
}

@Test func anotherProcesssAnswersAreChecked() throws {
    let entry = Entry(node: 0x1_0000_0007, attributes: attributes, validity: Validity(entry: 0, attributes: 0))
    let sent = Answer(to: 5, entry, handle: 0, flags: 0)
    #expect(Answer(to: 6, received: sent.bytes) == nil)
    #expect(Answer(to: 5, received: Array(sent.bytes.dropLast())) == nil)
    #expect(Answer(to: 5, received: [1, 2, 3]) == nil)
    var received = try #require(Answer(to: 5, received: sent.bytes))
    #expect(received == sent && received.isSuccess && received.node == 0x1_0000_0007 && received.unique == 5)
    let hasRoom = received.setHandle(0x1_0000_0009, at: 16 + 128)
    #expect(hasRoom)
    let open = try read(received, as: fuse_open_out.self, at: 16 + 128).body
    #expect(open.fh == 0x1_0000_0009)
    let end = received.bytes.count
    let hasMore = received.setHandle(1, at: end - 7)
    #expect(!hasMore)
    let failed = Answer(to: 5, errno: 2)
    #expect(!failed.isSuccess && failed.node == 0)
    #expect(Answer(to: 5, following: 100).bytes == [116, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
}

@Test func listingsAreReadAgain() throws {
    for withEntries in [false, true] {
        var listing = Listing(limit: 1000, hasEntries: withEntries)
        let entry = Entry(node: 7 << 33, attributes: Attributes(), validity: Validity(entry: 0, attributes: 0))
        let names = [(Array("name".utf8), UInt64(1) << 40, Optional(entry)), ([UInt8](repeating: 0x61, count: 255), 9, nil)]
        for (name, next, entry) in names {
            let isListed = listing.append(name, inode: 1, type: 8, next: next, entry: entry)
            #expect(isListed)
        }
        listing.end()
        let (bytes, own) = (listing.bytes, withEntries ? 128 : 0)
        var records: [ListedRecord] = []
        var index = 0
        while let record = ListedRecord(bytes, index..<bytes.count, hasEntries: withEntries) {
            records.append(record)
            index += record.length
        }
        #expect(index == bytes.count)
        #expect(records.map(\.node) == [withEntries ? 7 << 33 : 0, 0, 0] && records.map(\.next) == [1 << 40, 9, 0])
        #expect(records.map(\.length) == [own + 32, own + 280, own + 24] && records.map(\.isEnd) == [false, false, true])
        #expect(records.allSatisfy { $0.entryLength == own })
        // Half a record is none, nor is one whose name is longer than names are.
        for end in 0..<own + 32 { #expect(ListedRecord(bytes, 0..<end, hasEntries: withEntries) == nil) }
        #expect(ListedRecord(bytes, 0..<bytes.count + 1, hasEntries: withEntries) == nil)
        var long = bytes
        long[own + 17] = 1
        #expect(ListedRecord(long, 0..<bytes.count, hasEntries: withEntries) == nil)
    }
}

@Test func aListingComesWithAnOpening() {
    var listing = Listing(limit: 0, hasEntries: true)
    listing.end()
    var answer = Answer(to: 5, handle: 1 << 40, ahead: listing)
    #expect(Answer(to: 5, received: answer.bytes) == answer)
    let taken = answer.takeListing()
    #expect(taken?.handle == 1 << 40 && taken?.listing == listing.bytes)
    #expect(answer == Answer(to: 5, handle: 1 << 40, flags: 0))
    let again = answer.takeListing()
    #expect(again?.listing == [] && answer == Answer(to: 5, handle: 1 << 40, flags: 0))
    var failed = Answer(to: 5, errno: 2)
    let none = failed.takeListing()
    #expect(none == nil && failed == Answer(to: 5, errno: 2))
}
