// Requests as Linux's own declarations lay them out (CFUSE), whole, cut, and with what no kernel would write.
import CFUSE
import Glibc
import Testing

@testable import FUSE
import Glibc

/// A structure's bytes as they lie in memory.
func bytes<Value: BitwiseCopyable>(_ value: Value) -> [UInt8] {
    // SAFETY: the bytes are copied while the value is there; the protocol's structures have no padding.
    unsafe withUnsafeBytes(of: value) { unsafe Array($0) }
}

/// A request whose header says what it has to.
func request(_ operation: fuse_opcode, node: UInt64 = 1, _ body: [UInt8]) -> [UInt8] {
    var header = fuse_in_header()
    header.len = UInt32(40 + body.count)
    header.opcode = operation.rawValue
    header.unique = 0x1122_3344_5566_7788
    header.nodeid = node
    header.uid = 1000
    header.gid = 1001
    return bytes(header) + body
}

func text(_ string: String) -> [UInt8] { Array(string.utf8) + [0] }

private func parse(_ bytes: [UInt8]) throws(RequestError) -> Request { try Request(try RequestHeader(bytes, of: bytes.count), bytes) }

private func name(_ string: String) -> Name {
    guard let name = Name(Array(string.utf8)) else { preconditionFailure("no name") }
    return name
}

private let changes: fuse_setattr_in = {
    var changes = fuse_setattr_in()
    changes.valid = UInt32(FATTR_MODE | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW)
    changes.mode = 0o104755
    changes.uid = 7
    changes.gid = 8
    changes.size = 1 << 40
    changes.mtime = UInt64(bitPattern: -5)
    changes.mtimensec = 999_999_999
    return changes
}()

private let io: fuse_read_in = {
    var io = fuse_read_in()
    io.fh = 3
    io.offset = 1 << 33
    io.size = 4096
    return io
}()

private let written: fuse_write_in = {
    var written = fuse_write_in()
    written.fh = 3
    written.offset = 12
    written.size = 5
    written.write_flags = UInt32(FUSE_WRITE_KILL_SUIDGID)
    return written
}()

private let greeting: fuse_init_in = {
    var greeting = fuse_init_in()
    greeting.major = 7
    greeting.minor = 41
    greeting.max_readahead = 1 << 17
    greeting.flags = UInt32(1 << 30 | 1 << 13)
    greeting.flags2 = 3
    return greeting
}()

private let setting: [UInt8] = {
    let fields: [UInt32] = [3, 1]
    return fields.flatMap { bytes($0) }
}()

private let expected: [(operation: fuse_opcode, body: [UInt8], meaning: FUSE.Operation)] = [
    (FUSE_LOOKUP, text("file"), .lookUp(name("file"))),
    (FUSE_FORGET, bytes(fuse_forget_in(nlookup: 4)), .forget([.init(node: 0, lookups: 4)])),
    (FUSE_GETATTR, bytes(fuse_getattr_in()), .getAttributes),
    (
        FUSE_SETATTR, bytes(changes),
        .setAttributes(
            {
                var meaning = AttributeChanges()
                meaning.mode = 0o4755
                meaning.group = 8
                meaning.size = 1 << 40
                meaning.accessed = .now
                meaning.modified = .at(FileTime(seconds: -5, nanoseconds: 999_999_999))
                return meaning
            }())
    ),
    (FUSE_READLINK, [], .readLink),
    (FUSE_SYMLINK, text("link") + text("../to/there"), .makeSymbolicLink(name("link"), target: Array("../to/there".utf8))),
    (
        FUSE_MKNOD, bytes(fuse_mknod_in(mode: 0o20666, rdev: 0x103, umask: 0o22, padding: 0)) + text("null"),
        .makeNode(NewFile(name: name("null"), mode: 0o20666, mask: 0o22), device: 0x103)
    ),
    (FUSE_MKDIR, bytes(fuse_mkdir_in(mode: 0o755, umask: 0o77)) + text("d"), .makeDirectory(NewFile(name: name("d"), mode: 0o755, mask: 0o77))),
    (FUSE_UNLINK, text("file"), .unlink(name("file"))),
    (FUSE_RMDIR, text("d"), .removeDirectory(name("d"))),
    (FUSE_RENAME, bytes(fuse_rename_in(newdir: 5)) + text("a") + text("b"), .rename(name("a"), to: 5, name("b"), flags: 0)),
    (FUSE_RENAME2, bytes(fuse_rename2_in(newdir: 5, flags: 2, padding: 0)) + text("a") + text("b"), .rename(name("a"), to: 5, name("b"), flags: 2)),
    (FUSE_LINK, bytes(fuse_link_in(oldnodeid: 9)) + text("new"), .link(to: 9, name("new"))),
    (FUSE_OPEN, bytes(fuse_open_in(flags: 2, open_flags: 0)), .open(flags: 2)),
    (FUSE_READ, bytes(io), .read(.init(handle: 3, offset: 1 << 33, count: 4096))),
    (FUSE_WRITE, bytes(written) + Array("hello".utf8), .write(.init(handle: 3, offset: 12, count: 5), dropsPrivileges: true)),
    (FUSE_STATFS, [], .fileSystemStatus),
    (FUSE_RELEASE, bytes(fuse_release_in(fh: 3, flags: 0, release_flags: 0, lock_owner: 0)), .release(handle: 3)),
    (FUSE_FSYNC, bytes(fuse_fsync_in(fh: 3, fsync_flags: 1, padding: 0)), .synchronize(handle: 3, dataOnly: true)),
    (FUSE_SETXATTR, setting + text("user.a") + [1, 0, 2], .setExtendedAttribute(Array("user.a".utf8), value: [1, 0, 2], flags: 1)),
    (FUSE_GETXATTR, bytes(fuse_getxattr_in(size: 64, padding: 0)) + text("user.a"), .getExtendedAttribute(Array("user.a".utf8), limit: 64)),
    (FUSE_LISTXATTR, bytes(fuse_getxattr_in(size: 0, padding: 0)), .listExtendedAttributes(limit: 0)),
    (FUSE_REMOVEXATTR, text("user.a"), .removeExtendedAttribute(Array("user.a".utf8))),
    (FUSE_FLUSH, bytes(fuse_flush_in(fh: 3, unused: 0, padding: 0, lock_owner: 0)), .flush(handle: 3)),
    (FUSE_INIT, bytes(greeting), .greet(.init(major: 7, minor: 41, readAhead: 1 << 17, flags: 3 << 32 | 1 << 30 | 1 << 13))),
    (FUSE_OPENDIR, bytes(fuse_open_in()), .openDirectory),
    (FUSE_READDIR, bytes(io), .readDirectory(.init(handle: 3, offset: 1 << 33, count: 4096), withAttributes: false)),
    (FUSE_READDIRPLUS, bytes(io), .readDirectory(.init(handle: 3, offset: 1 << 33, count: 4096), withAttributes: true)),
    (FUSE_RELEASEDIR, bytes(fuse_release_in(fh: 3, flags: 0, release_flags: 0, lock_owner: 0)), .releaseDirectory(handle: 3)),
    (FUSE_FSYNCDIR, bytes(fuse_fsync_in(fh: 3, fsync_flags: 0, padding: 0)), .synchronizeDirectory(handle: 3)),
    (FUSE_ACCESS, bytes(fuse_access_in(mask: 4, padding: 0)), .access(mask: 4)),
    (
        FUSE_CREATE, bytes(fuse_create_in(flags: 0x241, mode: 0o100644, umask: 0o22, open_flags: 0)) + text("new"),
        .create(NewFile(name: name("new"), mode: 0o100644, mask: 0o22), flags: 0x241)
    ),
    (FUSE_INTERRUPT, bytes(fuse_interrupt_in(unique: 8)), .interrupt(unique: 8)),
    (FUSE_DESTROY, [], .goodbye),
    (
        FUSE_BATCH_FORGET,
        bytes(fuse_batch_forget_in(count: 2, dummy: 0)) + bytes(fuse_forget_one(nodeid: 5, nlookup: 1))
            + bytes(fuse_forget_one(nodeid: 6, nlookup: 2)),
        .forget([.init(node: 5, lookups: 1), .init(node: 6, lookups: 2)])
    ),
    (
        FUSE_FALLOCATE, bytes(fuse_fallocate_in(fh: 3, offset: 4096, length: 8192, mode: 3, padding: 0)),
        .allocate(handle: 3, offset: 4096, count: 8192, mode: 3)
    ),
    (FUSE_LSEEK, bytes(fuse_lseek_in(fh: 3, offset: 10, whence: 4, padding: 0)), .seek(handle: 3, offset: 10, whence: 4)),
    (
        FUSE_COPY_FILE_RANGE, bytes(fuse_copy_file_range_in(fh_in: 3, off_in: 1, nodeid_out: 6, fh_out: 4, off_out: 2, len: 100, flags: 0)),
        .copy(handle: 3, offset: 1, to: 6, targetHandle: 4, targetOffset: 2, count: 100, flags: 0)
    ),
    (FUSE_SYNCFS, bytes(fuse_syncfs_in()), .synchronizeFileSystem),
]

@Test(arguments: expected.indices) func requestsMeanWhatLinuxSays(index: Int) throws {
    let (operation, body, meaning) = expected[index]
    let parsed = try parse(request(operation, node: 42, body))
    #expect(parsed.operation == meaning)
    #expect(parsed.header.unique == 0x1122_3344_5566_7788 && parsed.header.node == 42)
    #expect(parsed.header.user == 1000 && parsed.header.group == 1001)
}

@Test func aLinkWithoutANameIsWrittenAsTMPFILE() throws {
    // Younger than some of the headers that this is built with.
    let body = bytes(fuse_create_in(flags: 2, mode: 0o100600, umask: 0, open_flags: 0)) + text("tmp")
    #expect(
        try parse(request(fuse_opcode(rawValue: 51), body)).operation == .createUnnamed(NewFile(name: name("tmp"), mode: 0o100600, mask: 0), flags: 2)
    )
}

@Test(arguments: expected.indices) func cutRequestsAreRefused(index: Int) {
    let whole = request(expected[index].operation, expected[index].body)
    for count in 0..<whole.count {
        let cut = Array(whole.prefix(count))
        // The header says more than there is.
        #expect(throws: RequestError.noHeader) { try parse(cut) }
        guard count >= 40 else { continue }
        // The header has been made to fit.
        let fitting = request(expected[index].operation, Array(cut.dropFirst(40)))
        // A greeting of old kernels, and contents that lie elsewhere, are shorter.
        if expected[index].operation == FUSE_INIT && count >= 60 || expected[index].operation == FUSE_WRITE && count == 80 {
            #expect(throws: Never.self) { try parse(fitting) }
        } else {
            #expect(throws: RequestError.malformed) { try parse(fitting) }
        }
    }
}

@Test(arguments: expected.indices) func moreThanThereShouldBeIsRefused(index: Int) {
    // Room for fields to come is a greeting's alone.
    if expected[index].operation == FUSE_INIT { return }
    #expect(throws: RequestError.malformed) { try parse(request(expected[index].operation, expected[index].body + [1])) }
}

@Test func namesAreOneComponent() {
    for bad in ["", ".", "..", "/", "a/b", "/etc", "../x"] {
        for operation in [FUSE_LOOKUP, FUSE_UNLINK, FUSE_RMDIR] {
            #expect(throws: RequestError.malformed, "\(bad)") { try parse(request(operation, text(bad))) }
        }
        #expect(throws: RequestError.malformed) { try parse(request(FUSE_RENAME, bytes(fuse_rename_in(newdir: 1)) + text("ok") + text(bad))) }
    }
    #expect(throws: RequestError.nameTooLong) { try parse(request(FUSE_LOOKUP, text(String(repeating: "n", count: 256)))) }
    #expect(throws: Never.self) { try parse(request(FUSE_LOOKUP, text(String(repeating: "n", count: 255)))) }
    for odd in ["...", "..a", "-", " ", "\n"] { #expect(throws: Never.self) { try parse(request(FUSE_LOOKUP, text(odd))) } }
}

@Test func lengthsAreBounded() {
    #expect(throws: RequestError.nameTooLong) { try parse(request(FUSE_SYMLINK, text("a") + text(String(repeating: "t", count: 4096)))) }
    let large: [UInt32] = [(64 << 10) + 1, 0]
    #expect(throws: RequestError.malformed) {
        try parse(request(FUSE_SETXATTR, large.flatMap { bytes($0) } + text("user.a") + [UInt8](repeating: 1, count: (64 << 10) + 1)))
    }
    let many = bytes(fuse_batch_forget_in(count: .max, dummy: 0))
    #expect(throws: RequestError.malformed) { try parse(request(FUSE_BATCH_FORGET, many + bytes(fuse_forget_one(nodeid: 1, nlookup: 1)))) }
    var time = changes
    time.mtimensec = 1_000_000_000
    #expect(throws: RequestError.malformed) { try parse(request(FUSE_SETATTR, bytes(time))) }
}

@Test func strangeOperationsAreNamed() {
    for number in [0, 7, 19, 31, 37, 39, 40, 41, 48, 49, 52, 4096, UInt32.max] {
        #expect(throws: RequestError.unknownOperation(number)) { try parse(request(fuse_opcode(rawValue: number), [])) }
    }
}

@Test func anyBytesAreParsedOrRefused() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
        let body = (0..<Int.random(in: 0...200)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        _ = try? parse(request(fuse_opcode(rawValue: UInt32.random(in: 0...53)), body))
        _ = try? parse(body)
    }
}

@Test func whoHasToDoWithARequestIsKnown() throws {
    func part(_ operation: fuse_opcode) throws -> RequestHeader.Part { try RequestHeader(request(operation, []), of: 40).part }
    for operation in [FUSE_READ, FUSE_WRITE, FUSE_RELEASE, FUSE_FSYNC, FUSE_FLUSH, FUSE_FALLOCATE, FUSE_LSEEK, FUSE_COPY_FILE_RANGE] {
        #expect(try part(operation) == .bytes)
    }
    for operation in [FUSE_FORGET, FUSE_BATCH_FORGET] { #expect(try part(operation) == .unanswered) }
    #expect(try part(FUSE_INTERRUPT) == .nothing)
    #expect(try part(FUSE_OPEN) == .opening(handle: 16))
    for operation in [FUSE_CREATE, FUSE_TMPFILE] { #expect(try part(operation) == .opening(handle: 16 + MemoryLayout<fuse_entry_out>.size)) }
    for operation in [FUSE_LOOKUP, FUSE_INIT, FUSE_DESTROY, FUSE_SETATTR, FUSE_FSYNCDIR] { #expect(try part(operation) == .names) }
    #expect(try part(FUSE_OPENDIR) == .openingDirectory && part(FUSE_RELEASEDIR) == .closingDirectory)
    for operation in [FUSE_READDIR, FUSE_READDIRPLUS] { #expect(try part(operation) == .listing) }
    for operation in [FUSE_INIT, FUSE_DESTROY] { #expect(try RequestHeader(request(operation, []), of: 40).startsOver) }
    #expect(RequestHeader.writeLength == 40 + MemoryLayout<fuse_write_in>.size)
}

/// Of all operations that there are, and some that there are not.
@Test func whatMayChangeFilesIsKnown() throws {
    let harmless = Set(
        [
            FUSE_LOOKUP, FUSE_FORGET, FUSE_GETATTR, FUSE_READLINK, FUSE_READ, FUSE_STATFS, FUSE_RELEASE, FUSE_FSYNC, FUSE_GETXATTR, FUSE_LISTXATTR,
            FUSE_FLUSH, FUSE_OPENDIR,
            FUSE_READDIR, FUSE_RELEASEDIR, FUSE_FSYNCDIR, FUSE_ACCESS, FUSE_INTERRUPT, FUSE_BATCH_FORGET, FUSE_READDIRPLUS, FUSE_LSEEK, FUSE_SYNCFS,
        ].map(\.rawValue))
    for number in UInt32(0)..<100 where number != FUSE_OPEN.rawValue {
        let bytes = request(fuse_opcode(rawValue: number), [])
        #expect(try RequestHeader(bytes, of: 40).changesFiles(bytes) == !harmless.contains(number), "\(number)")
    }
    for (flags, changes) in [(O_RDONLY, false), (O_WRONLY | O_APPEND, false), (O_RDONLY | O_TRUNC, true), (O_RDWR | O_TRUNC, true)] {
        let bytes = request(FUSE_OPEN, bytes(fuse_open_in(flags: UInt32(flags), open_flags: 0)))
        #expect(try RequestHeader(bytes, of: bytes.count).changesFiles(bytes) == changes)
    }
    // One that is cut off may be anything.
    let cut = request(FUSE_OPEN, [])
    #expect(try RequestHeader(cut, of: 40).changesFiles(cut))
}

@Test func moreOfAListingIsAskedFor() throws {
    var whole = request(FUSE_READDIRPLUS, bytes(fuse_read_in(fh: 3, offset: 5, size: 4096, read_flags: 0, lock_owner: 0, flags: 0, padding: 0)))
    RequestHeader.enlarge(&whole, to: 1 << 14)
    #expect(try parse(whole).operation == .readDirectory(.init(handle: 3, offset: 5, count: 1 << 14), withAttributes: true))
    var cut = Array(whole.prefix(59))
    RequestHeader.enlarge(&cut, to: 1)
    #expect(cut == Array(whole.prefix(59)))
}

@Test func ourOwnRequestsAreAsTheGuests() throws {
    #expect(try parse(RequestHeader.goodbye).operation == .goodbye)
    let nodes = [FUSE.Operation.Forgotten(node: 0x1_0000_0005, lookups: 3), .init(node: 7, lookups: 1 << 40)]
    #expect(try parse(RequestHeader.forget(nodes[...])).operation == .forget(nodes))
}
