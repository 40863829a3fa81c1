// A server over a temporary directory, asked as a guest's kernel asks. Run as root it also keeps owners.
import FUSE
import Glibc
import LinuxSystem
import Testing

@testable import FileServer

/// A directory with a server over it, and requests by hand.
final class Served {
    let path: String
    let server: FileServer
    private var unique: UInt64 = 1

    init(mode: CacheMode = .auto, isReadOnly: Bool = false, limits: FileServer.Limits = .init(nodes: 1000, directories: 10)) throws {
        var template = Array("/tmp/fileserver-XXXXXX".utf8CString)
        // SAFETY: mkdtemp replaces the X in place.
        guard unsafe mkdtemp(&template) != nil else { throw SystemError(call: "mkdtemp", errno: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // SAFETY: plain libc call.
        unsafe chmod(path, 0o755)
        let root = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        server = try FileServer(
            [Tree(root: SharedDescriptor(root), isReadOnly: isReadOnly)], mode: mode, limits: limits, actsForOthers: geteuid() == 0)
        _ = try ask(26, node: 0, le(7, 41, 0, UInt32(1 << 27)))
    }

    deinit { run("rm", "-rf", path) }

    /// Answers' bodies; throws the errno.
    struct Failure: Error, Equatable { let errno: Int32 }

    /// The answer behind its header, and the descriptor that came with it, which the caller closes (-1: none).
    func ask(_ opcode: UInt32, node: UInt64, user: UInt32 = 0, group: UInt32 = 0, _ body: [UInt8]) throws -> (body: [UInt8], file: Int32) {
        unique += 1
        let header = le(UInt32(40 + body.count), opcode) + le64(unique, node) + le(user, group, 1, 0)
        guard let reply = try server.serve(header + body) else { return ([], -1) }
        let bytes = reply.answer.bytes
        #expect(integer(bytes, 0, 4) == UInt64(bytes.count) && integer(bytes, 8, 8) == unique)
        let error = Int32(bitPattern: UInt32(integer(bytes, 4, 4)))
        if error != 0 { throw Failure(errno: -error) }
        return (Array(bytes.dropFirst(16)), reply.descriptor.map { dup($0) } ?? -1)
    }

    func lookUp(_ name: String, in node: UInt64) throws -> UInt64 { integer(try ask(1, node: node, text(name)).body, 0, 8) }

    /// The tree's root.
    func root() throws -> UInt64 { try lookUp("0", in: 1) }

    func mode(of node: UInt64) throws -> UInt32 { UInt32(integer(try ask(3, node: node, le(0, 0) + le64(0)).body, 16 + 60, 4)) }

    func forget(_ node: UInt64, _ lookups: UInt64) throws { _ = try ask(2, node: node, le64(lookups)) }

    /// Every name that a directory lists.
    func names(in node: UInt64, withAttributes: Bool = false, room: UInt32 = 4096) throws -> [String] {
        let opened = try ask(27, node: node, le(0, 0)).body
        let handle = integer(opened, 0, 8)
        // What came with it was told, too.
        var ahead = 16
        while ahead < opened.count {
            if case let number = integer(opened, ahead, 8), number != 0 { try forget(number, 1) }
            ahead += 128 + (24 + Int(integer(opened, ahead + 128 + 16, 4)) + 7) / 8 * 8
        }
        var names: [String] = []
        var offset: UInt64 = 0
        var isWhole = false
        while !isWhole {
            let body = try ask(withAttributes ? 44 : 28, node: node, le64(handle, offset) + le(room, 0) + le64(0) + le(0, 0)).body
            var index = 0
            while index < body.count {
                // An answer that reaches the end says so by a name of no bytes.
                if integer(body, index + (withAttributes ? 128 : 0) + 16, 4) == 0 {
                    #expect(body.count == index + (withAttributes ? 152 : 24))
                    isWhole = true
                    break
                }
                let number = withAttributes ? integer(body, index, 8) : 0
                if withAttributes { index += 128 }
                offset = integer(body, index + 8, 8)
                let length = Int(integer(body, index + 16, 4))
                let name = String(decoding: body[index + 24..<index + 24 + length], as: UTF8.self)
                names.append(name)
                // "." and ".." are nobody's to look up by this; what was named has to be forgotten.
                if withAttributes { #expect((number == 0) == (name == "." || name == "..")) }
                if number != 0 { try forget(number, 1) }
                index += (24 + length + 7) / 8 * 8
            }
        }
        _ = try ask(29, node: node, le64(handle) + le(0, 0) + le64(0))
        return names.sorted()
    }
}

func le(_ values: UInt32...) -> [UInt8] { values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } } }
func le64(_ values: UInt64...) -> [UInt8] { values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) } } }
func text(_ string: String) -> [UInt8] { Array(string.utf8) + [0] }
func integer(_ bytes: [UInt8], _ offset: Int, _ size: Int) -> UInt64 { (0..<size).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) } }

/// What write(2) says.
private func put(_ string: String, into file: Int32) -> Int {
    let bytes = Array(string.utf8)
    // SAFETY: the call reads as many bytes as the array has.
    return unsafe bytes.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
}

/// How many of this process's descriptors are files there.
private func open(below path: String) -> Int {
    var count = 0
    for descriptor in 0..<Int32(1024) {
        var target = [UInt8](repeating: 0, count: 4096)
        // SAFETY: the call writes at most as many bytes as the array has.
        let length = unsafe target.withUnsafeMutableBytes { buffer in
            unsafe buffer.withMemoryRebound(to: CChar.self) {
                unsafe readlink("/proc/self/fd/\(descriptor)", $0.baseAddress.unsafelyUnwrapped, $0.count)
            }
        }
        if length > 0, String(decoding: target[..<length], as: UTF8.self).hasPrefix(path) { count += 1 }
    }
    return count
}

/// A command of the host; its standard output.
@discardableResult func run(_ words: String...) -> String {
    let line = words.map { "'\($0)'" }.joined(separator: " ")
    // SAFETY: the stream is read to its end and closed once.
    guard let stream = unsafe popen(line, "r") else { return "" }
    defer { unsafe pclose(stream) }
    var output: [UInt8] = []
    while case let byte = unsafe fgetc(stream), byte != EOF { output.append(UInt8(byte)) }
    return String(decoding: output, as: UTF8.self)
}

private func expectErrno(_ errno: Int32, _ location: SourceLocation = #_sourceLocation, _ body: () throws -> Void) {
    #expect(throws: Served.Failure(errno: errno), sourceLocation: location, performing: body)
}

/// One after another: they act as other users.
@Suite(.serialized) struct FileServers {
    private let isRoot = geteuid() == 0

    @Test func treesAreListedByTheirNumbers() throws {
        let served = try Served()
        #expect(try served.names(in: 1) == ["0"])
        #expect(try served.names(in: 1, withAttributes: true) == ["0"])
        let root = try served.root()
        #expect(try served.mode(of: root) == S_IFDIR | 0o755)
        #expect(try served.mode(of: 1) == S_IFDIR | 0o555)
        for name in ["1", "00", "-1", "x"] { expectErrno(ENOENT) { _ = try served.lookUp(name, in: 1) } }
        expectErrno(EPERM) { _ = try served.ask(9, node: 1, le(0o755, 0) + text("new")) }
        expectErrno(ENODATA) { _ = try served.ask(22, node: 1, le(64, 0) + text("system.posix_acl_access")) }
    }

    /// So that a guest that makes a file needn't ask twice.
    @Test func whatIsMissingMayBeBelievedAsLong() throws {
        for (mode, seconds) in [(CacheMode.never, UInt64(0)), (.auto, 1), (.always, 86400)] {
            let served = try Served(mode: mode)
            let root = try served.root()
            let entry = try served.ask(1, node: root, text("missing")).body
            #expect(integer(entry, 0, 8) == 0 && integer(entry, 16, 8) == seconds && entry.count == 128)
            let count = served.server.nodeCount
            #expect(try served.lookUp("missing", in: root) == 0)
            #expect(served.server.nodeCount == count)
        }
    }

    /// Listing again what is known opens nothing, and tells what it is now.
    @Test func whatIsKnownIsListedAsItIs() throws {
        let served = try Served()
        let root = try served.root()
        for name in ["a", "b"] { run("touch", served.path + "/" + name) }
        let a = try served.lookUp("a", in: root)
        run("chmod", "700", served.path + "/a")
        // Another file by the name of one that is known.
        let b = try served.lookUp("b", in: root)
        run("mv", served.path + "/b", served.path + "/c")
        run("touch", served.path + "/b")
        let handle = integer(try served.ask(27, node: root, le(0, 0)).body, 0, 8)
        let body = Array(try served.ask(44, node: root, le64(handle, 0) + le(4096, 0) + le64(0) + le(0, 0)).body.dropLast(152))
        var listed: [String: (node: UInt64, mode: UInt64)] = [:]
        var index = 0
        while index < body.count {
            let length = Int(integer(body, index + 128 + 16, 4))
            listed[String(decoding: body[index + 152..<index + 152 + length], as: UTF8.self)] = (
                integer(body, index, 8), integer(body, index + 40 + 60, 4)
            )
            index += 128 + (24 + length + 7) / 8 * 8
        }
        #expect(listed["a"]?.node == a && listed["a"]?.mode == UInt64(S_IFREG | 0o700))
        #expect(listed["c"]?.node == b)
        #expect(try listed["b"]?.node == served.lookUp("b", in: root) && listed["b"]?.node != b)
    }

    @Test func filesAreMadeWrittenAndRead() throws {
        let served = try Served()
        let root = try served.root()
        let (created, file) = try served.ask(35, node: root, le(UInt32(O_RDWR), 0o100666, 0o22, 0) + text("file"))
        defer { close(file) }
        #expect(try served.mode(of: integer(created, 0, 8)) == S_IFREG | 0o644)
        #expect(put("hello", into: file) == 5)
        #expect(run("cat", served.path + "/file") == "hello")
        let node = try served.lookUp("file", in: root)
        #expect(node == integer(created, 0, 8))
        let reading = try served.ask(14, node: node, le(UInt32(O_RDONLY), 0)).file
        defer { close(reading) }
        #expect(put("x", into: reading) == -1)
        var byte: UInt8 = 0
        // SAFETY: read writes one byte.
        #expect(unsafe read(reading, &byte, 1) == 1 && byte == UInt8(ascii: "h"))
        // An open file outlives its name.
        _ = try served.ask(10, node: root, text("file"))
        #expect(try served.lookUp("file", in: root) == 0)
        _ = try served.ask(4, node: node, setattr(valid: 8, size: 2))
        #expect(lseek(file, 0, SEEK_END) == 2)
    }

    /// `fuse_setattr_in`.
    private func setattr(
        valid: UInt32, size: UInt64 = 0, mode: UInt32 = 0, user: UInt32 = 0, group: UInt32 = 0, modified: UInt64 = 0
    ) -> [UInt8] {
        le(valid, 0) + le64(0, size, 0, 0, modified, 0) + le(0, 0, 0, mode, 0, user, group, 0)
    }

    @Test func attributesChange() throws {
        let served = try Served()
        run("touch", served.path + "/file")
        let node = try served.lookUp("file", in: try served.root())
        _ = try served.ask(4, node: node, setattr(valid: 1 | 8 | 32, size: 100, mode: 0o104755, modified: 1_000_000_000))
        #expect(run("stat", "-c", "%a %s %Y", served.path + "/file") == "4755 100 1000000000\n")
        guard isRoot else { return }
        _ = try served.ask(4, node: node, setattr(valid: 2 | 4, user: 1234, group: 2345))
        // chown(2) takes set-id bits.
        #expect(run("stat", "-c", "%a %u %g", served.path + "/file") == "755 1234 2345\n")
        _ = try served.ask(4, node: node, setattr(valid: 4, group: 7))
        #expect(run("stat", "-c", "%u %g", served.path + "/file") == "1234 7\n")
    }

    @Test func newFilesBelongToWhoAskedForThem() throws {
        guard isRoot else { return }
        let served = try Served()
        let root = try served.root()
        // Where the user alone might not: the guest's kernel has checked already.
        run("chmod", "700", served.path)
        _ = try served.ask(9, node: root, user: 1000, group: 1001, le(0o777, 0o22) + text("directory"))
        _ = try served.ask(8, node: root, user: 1000, group: 1001, le(UInt32(S_IFIFO) | 0o644, 0, 0, 0) + text("pipe"))
        _ = try served.ask(6, node: root, user: 1000, group: 1001, text("link") + text("../../etc"))
        let file = try served.ask(35, node: root, user: 1000, group: 1001, le(UInt32(O_WRONLY), 0o100600, 0, 0) + text("file")).file
        close(file)
        for name in ["directory", "pipe", "link", "file"] {
            #expect(run("stat", "-c", "%u %g", served.path + "/" + name) == "1000 1001\n", "\(name)")
        }
        // And root is root again.
        _ = try served.ask(9, node: root, le(0o755, 0) + text("roots"))
        #expect(run("stat", "-c", "%u %g", served.path + "/roots") == "0 0\n")
        // A set-group-id directory passes its group on.
        run("chmod", "2777", served.path + "/roots")
        let roots = try served.lookUp("roots", in: root)
        _ = try served.ask(9, node: roots, user: 1000, group: 1001, le(0o755, 0) + text("below"))
        #expect(run("stat", "-c", "%u %g %a", served.path + "/roots/below") == "1000 0 2755\n")
        // A device's numbers come through.
        _ = try served.ask(8, node: root, le(UInt32(S_IFCHR) | 0o666, 0x103, 0, 0) + text("null"))
        #expect(run("stat", "-c", "%t %T", served.path + "/null") == "1 3\n")
    }

    @Test func namesComeAndGo() throws {
        let served = try Served()
        let root = try served.root()
        _ = try served.ask(9, node: root, le(0o755, 0) + text("a"))
        let a = try served.lookUp("a", in: root)
        run("touch", served.path + "/a/one")
        let one = try served.lookUp("one", in: a)
        _ = try served.ask(13, node: root, le64(one) + text("two"))
        #expect(try served.lookUp("two", in: root) == one)
        _ = try served.ask(45, node: a, le64(root) + le(1, 0) + text("one") + text("three"))
        // RENAME_NOREPLACE
        expectErrno(EEXIST) { _ = try served.ask(45, node: root, le64(root) + le(1, 0) + text("two") + text("three")) }
        _ = try served.ask(12, node: root, le64(a) + text("three") + text("four"))
        expectErrno(ENOTEMPTY) { _ = try served.ask(11, node: root, text("a")) }
        #expect(try served.names(in: root) == [".", "..", "a", "two"])
        _ = try served.ask(10, node: a, text("four"))
        _ = try served.ask(11, node: root, text("a"))
        #expect(try served.names(in: root, withAttributes: true) == [".", "..", "two"])
        expectErrno(ENOENT) { _ = try served.ask(10, node: root, text("a")) }
    }

    @Test func linksAreReadNotFollowed() throws {
        let served = try Served()
        let root = try served.root()
        run("ln", "-s", "/etc", served.path + "/etc")
        run("ln", "-s", "/etc/passwd", served.path + "/passwd")
        let link = try served.lookUp("etc", in: root)
        #expect(try served.mode(of: link) & S_IFMT == S_IFLNK)
        #expect(try served.ask(5, node: link, []).body == Array("/etc".utf8))
        expectErrno(ENOTDIR) { _ = try served.lookUp("passwd", in: link) }
        expectErrno(ENOTDIR) { _ = try served.ask(27, node: link, le(0, 0)) }
        let passwd = try served.lookUp("passwd", in: root)
        expectErrno(ENXIO) { _ = try served.ask(14, node: passwd, le(UInt32(O_RDONLY), 0)) }
        expectErrno(EINVAL) { _ = try served.ask(4, node: passwd, setattr(valid: 8)) }
        expectErrno(EOPNOTSUPP) { _ = try served.ask(4, node: passwd, setattr(valid: 1, mode: 0o777)) }
        // Made where a link is: not through it.
        expectErrno(ELOOP) { _ = try served.ask(35, node: root, le(UInt32(O_RDWR), 0o100644, 0, 0) + text("passwd")) }
        expectErrno(EINVAL) { _ = try served.ask(1, node: root, text("..")) }
        #expect(run("sh", "-c", "grep -c root /etc/passwd") != "0\n")
    }

    @Test func whatIsNoFileIsNotOpened() throws {
        let served = try Served()
        let root = try served.root()
        run("mkfifo", served.path + "/pipe")
        let pipe = try served.lookUp("pipe", in: root)
        for flags in [O_RDONLY, O_WRONLY, O_RDWR] { expectErrno(ENXIO) { _ = try served.ask(14, node: pipe, le(UInt32(flags), 0)) } }
        expectErrno(ENXIO) { _ = try served.ask(35, node: root, le(UInt32(O_RDWR), 0o100644, 0, 0) + text("pipe")) }
        expectErrno(EISDIR) { _ = try served.ask(14, node: root, le(UInt32(O_RDONLY), 0)) }
    }

    @Test func aReadOnlyTreeStaysAsItIs() throws {
        let served = try Served(isReadOnly: true)
        run("touch", served.path + "/file")
        let root = try served.root()
        let file = try served.lookUp("file", in: root)
        let changes: [(UInt32, UInt64, [UInt8])] = [
            (4, file, setattr(valid: 1, mode: 0o600)), (6, root, text("l") + text("t")), (8, root, le(0o100644, 0, 0, 0) + text("n")),
            (9, root, le(0o755, 0) + text("d")),
            (10, root, text("file")), (11, root, text("d")), (12, root, le64(root) + text("file") + text("g")), (13, root, le64(file) + text("h")),
            (14, file, le(UInt32(O_WRONLY), 0)), (14, file, le(UInt32(O_TRUNC), 0)), (21, file, le(1, 0) + text("user.a") + [1]),
            (24, file, text("user.a")),
            (35, root, le(UInt32(O_RDWR), 0o100644, 0, 0) + text("new")), (51, root, le(UInt32(O_RDWR), 0o100644, 0, 0) + text("t")),
        ]
        for (opcode, node, body) in changes { expectErrno(EROFS) { _ = try served.ask(opcode, node: node, body) } }
        #expect(run("ls", served.path) == "file\n")
        close(try served.ask(14, node: file, le(UInt32(O_RDONLY), 0)).file)
    }

    @Test func longDirectoriesTakeSeveralAnswers() throws {
        let served = try Served()
        let expected = (0..<700).map { "file-number-\($0)" }
        for name in expected { close(try OwnedDescriptor.open(served.path + "/" + name, O_CREAT | O_WRONLY, mode: 0o644).release()) }
        let root = try served.root()
        for withAttributes in [false, true] {
            for room in [300, 4096, 1 << 20] as [UInt32] {
                #expect(try served.names(in: root, withAttributes: withAttributes, room: room) == ([".", ".."] + expected).sorted())
            }
        }
        // All that was listed has been forgotten, but for what looked it up by name: the root.
        #expect(served.server.nodeCount == 1)
    }

    /// What a guest reads at first comes with the opening, where it may be believed for any time.
    @Test func openingBringsTheBeginning() throws {
        for mode in CacheMode.allCases {
            let served = try Served(mode: mode)
            let root = try served.root()
            for name in ["a", "b"] { run("touch", served.path + "/" + name) }
            let opened = try served.ask(27, node: root, le(0, 0)).body
            let listed = try served.ask(44, node: root, le64(integer(opened, 0, 8), 0) + le(4096, 0) + le64(0) + le(0, 0)).body
            #expect(listed.count == 4 * (128 + 32) + 152)
            #expect(Array(opened.dropFirst(16)) == (mode == .never ? [] : listed))
        }
    }

    /// No file system is asked to find a place again that was told a moment ago, whatever was removed meanwhile.
    @Test func whatWasListedIsListedAgain() throws {
        let served = try Served()
        let expected = Set((0..<300).map { "\($0)" })
        for name in expected { close(try OwnedDescriptor.open(served.path + "/" + name, O_CREAT | O_WRONLY, mode: 0o644).release()) }
        let root = try served.root()
        let handle = integer(try served.ask(27, node: root, le(0, 0)).body, 0, 8)
        /// Names with where each of them ends.
        func list(from offset: UInt64, _ count: UInt32) throws -> [(name: String, end: UInt64)] {
            let body = try served.ask(28, node: root, le64(handle, offset) + le(count, 0) + le64(0) + le(0, 0)).body
            var (names, index): ([(String, UInt64)], Int) = ([], 0)
            while index < body.count {
                let length = Int(integer(body, index + 16, 4))
                if length > 0 { names.append((String(decoding: body[index + 24..<index + 24 + length], as: UTF8.self), integer(body, index + 8, 8))) }
                index += (24 + length + 7) / 8 * 8
            }
            return names
        }
        let first = try list(from: 0, 1 << 10)
        let second = try list(from: first[first.count - 1].end, 8 << 10)
        #expect(first.count == 32 && second.count == 256)
        // From its middle, when what comes before is gone, and once more.
        for one in first + second[..<100] where expected.contains(one.name) { run("rm", served.path + "/" + one.name) }
        for _ in 0..<2 { #expect(try list(from: second[99].end, 4 << 10).prefix(128).map(\.name) == second[100..<228].map(\.name)) }
        let rest = try list(from: second[second.count - 1].end, 8 << 10)
        #expect(Set((first + second + rest).map(\.name)) == expected.union([".", ".."]))
        #expect(first.count + second.count + rest.count == 302)
        expectErrno(EBADF) { _ = try served.ask(28, node: root, le64(handle + 1, 0) + le(4096, 0) + le64(0) + le(0, 0)) }
    }

    @Test func extendedAttributes() throws {
        let served = try Served()
        run("touch", served.path + "/file")
        let node = try served.lookUp("file", in: try served.root())
        do { _ = try served.ask(21, node: node, le(3, 0) + text("user.colour") + [1, 0, 2]) } catch let failure as Served.Failure
            where failure.errno == EOPNOTSUPP
        {
            // This /tmp has none.
            return
        }
        #expect(try served.ask(22, node: node, le(64, 0) + text("user.colour")).body == [1, 0, 2])
        #expect(try served.ask(22, node: node, le(0, 0) + text("user.colour")).body == le(3, 0))
        expectErrno(ERANGE) { _ = try served.ask(22, node: node, le(2, 0) + text("user.colour")) }
        #expect(try served.ask(23, node: node, le(4096, 0)).body.starts(with: text("user.colour")))
        _ = try served.ask(24, node: node, text("user.colour"))
        expectErrno(ENODATA) { _ = try served.ask(22, node: node, le(64, 0) + text("user.colour")) }
    }

    @Test func aFileHasOneNodeUntilItIsForgotten() throws {
        let served = try Served(limits: .init(nodes: 3, directories: 2))
        let root = try served.root()
        for name in ["a", "b", "c"] { run("touch", served.path + "/" + name) }
        let a = try served.lookUp("a", in: root)
        #expect(try served.lookUp("a", in: root) == a)
        let b = try served.lookUp("b", in: root)
        expectErrno(ENFILE) { _ = try served.lookUp("c", in: root) }
        try served.forget(b, 1)
        let c = try served.lookUp("c", in: root)
        #expect(c != b)
        // Two answers named it.
        try served.forget(a, 1)
        _ = try served.mode(of: a)
        // More than that is no less than none.
        try served.forget(a, .max)
        expectErrno(ESTALE) { _ = try served.mode(of: a) }
        expectErrno(ESTALE) { _ = try served.mode(of: 12345) }
        // BATCH_FORGET
        _ = try served.ask(42, node: 0, le(2, 0) + le64(c, 1, 999, 1))
        #expect(served.server.nodeCount == 1)
    }

    @Test func openDirectoriesAreCounted() throws {
        let served = try Served(limits: .init(nodes: 10, directories: 2))
        let root = try served.root()
        let handles = try (0..<2).map { _ in integer(try served.ask(27, node: root, le(0, 0)).body, 0, 8) }
        expectErrno(ENFILE) { _ = try served.ask(27, node: root, le(0, 0)) }
        _ = try served.ask(29, node: root, le64(handles[0]) + le(0, 0) + le64(0))
        _ = try served.ask(27, node: root, le(0, 0))
        expectErrno(EBADF) { _ = try served.ask(28, node: root, le64(handles[0], 0) + le(4096, 0) + le64(0) + le(0, 0)) }
        // Places that no answer has given lead nowhere else.
        for offset in [1, 12345, UInt64(Int64.max)] {
            _ = try? served.ask(28, node: root, le64(handles[1], offset) + le(4096, 0) + le64(0) + le(0, 0))
        }
        expectErrno(EINVAL) { _ = try served.ask(28, node: root, le64(handles[1], .max) + le(4096, 0) + le64(0) + le(0, 0)) }
    }

    @Test func filesWithoutNames() throws {
        let served = try Served()
        let root = try served.root()
        let (body, file) = try served.ask(51, node: root, le(UInt32(O_RDWR), 0o100600, 0, 0) + text("ignored"))
        defer { close(file) }
        #expect(put("kept", into: file) == 4)
        #expect(run("ls", served.path) == "")
        _ = try served.ask(13, node: root, le64(integer(body, 0, 8)) + text("named"))
        #expect(run("cat", served.path + "/named") == "kept")
    }

    @Test func theTreeMayChangeBehindItsBack() throws {
        let served = try Served()
        let root = try served.root()
        run("mkdir", "-p", served.path + "/d/e")
        let d = try served.lookUp("d", in: root)
        let e = try served.lookUp("e", in: d)
        // What was a directory is a link elsewhere now; who holds the directory has the directory.
        run("mv", served.path + "/d", served.path + "/moved")
        run("ln", "-s", "/", served.path + "/d")
        _ = try served.ask(9, node: e, le(0o755, 0) + text("inside"))
        #expect(run("ls", served.path + "/moved/e") == "inside\n")
        #expect(try served.mode(of: try served.lookUp("d", in: root)) & S_IFMT == S_IFLNK)
        run("rm", "-r", served.path + "/moved")
        expectErrno(ENOENT) { _ = try served.ask(9, node: e, le(0o755, 0) + text("more")) }
    }

    @Test func whatIsNoRequestIsRefused() throws {
        let served = try Served()
        #expect(throws: RequestError.noHeader) { _ = try served.server.serve([1, 2, 3]) }
        expectErrno(ENOSYS) { _ = try served.ask(99, node: 1, []) }
        expectErrno(ENOSYS) { _ = try served.ask(15, node: 1, le64(0, 0) + le(0, 0) + le64(0) + le(0, 0)) }
        expectErrno(EINVAL) { _ = try served.ask(1, node: 1, [0x61]) }
        expectErrno(ENAMETOOLONG) { _ = try served.ask(1, node: 1, text(String(repeating: "n", count: 300))) }
        expectErrno(EPROTO) { _ = try served.ask(26, node: 0, le(6, 0, 0, 0)) }
    }

    @Test func nothingStaysOpen() throws {
        let path: String
        do {
            let served = try Served()
            path = served.path
            let root = try served.root()
            for name in ["a", "b"] { close(try served.ask(35, node: root, le(UInt32(O_RDWR), 0o100644, 0, 0) + text(name)).file) }
            _ = try served.ask(27, node: root, le(0, 0))
            #expect(open(below: path) >= 4)
            // A new greeting forgets everything but the tree.
            _ = try served.ask(26, node: 0, le(7, 41, 0, 0))
            #expect(served.server.nodeCount == 0)
            #expect(open(below: path) == 1)
        }
        #expect(open(below: path) == 0)
    }
}
