// The file system device, driven as Linux drives it: over a server of real files, and over one that fails.
import AddressSpace
import DeviceTesting
import FUSE
import FileServer
import Glibc
import LinuxSystem
import Synchronization
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

/// A server in this process.
private final class LocalNames: NameService, @unchecked Sendable {
    let server: FileServer
    /// Operations for whose answer somebody waited.
    private(set) var asked: [UInt8] = []

    init(_ path: String, nodes: Int = 100) throws {
        let root = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        server = try FileServer(
            [Tree(root: SharedDescriptor(root), isReadOnly: false)], mode: .auto, limits: .init(nodes: nodes, directories: 10), actsForOthers: false)
    }

    func ask(_ request: [UInt8]) throws(SystemError) -> ReceivedPacket {
        asked.append(request[4])
        guard case .some(.some(let reply)) = try? server.serve(request) else { throw SystemError(call: "serve", errno: EPROTO) }
        let file = try reply.descriptor.map { (raw) throws(SystemError) in SharedDescriptor(try OwnedDescriptor.duplicate(of: raw)) }
        return ReceivedPacket(bytes: reply.answer.bytes, file: file)
    }

    func tell(_ request: [UInt8]) throws(SystemError) { _ = try? server.serve(request) }
    func leave(_ request: [UInt8]) throws(SystemError) { try tell(request) }
}

private func le(_ values: UInt32...) -> [UInt8] { values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } } }
private func le64(_ values: UInt64...) -> [UInt8] { values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) } } }
private func integer(_ bytes: [UInt8], _ offset: Int, _ size: Int) -> UInt64 {
    (0..<size).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
}

/// A driver with a request at a time.
private final class Mounted {
    let driver: MockDriver
    private var unique: UInt64 = 0

    init(_ names: sending any NameService, openFiles: Int = 10, clock: @escaping @Sendable () -> UInt64 = { 0 }) throws {
        driver = try MockDriver(try FileSystem(names, tag: "files", openFiles: openFiles, clock: clock))
        try driver.start()
        _ = try ask(26, node: 0, le(7, 41, 0, 0))
    }

    struct Failure: Error, Equatable { let errno: Int32 }
    struct NoAnswer: Error {}

    /// The answer behind its header. `room`: for the whole answer, in bytes.
    @discardableResult
    func ask(_ operation: UInt32, node: UInt64 = 1, _ body: [UInt8], room: Int = 4096, queue: Int = 1) throws -> [UInt8] {
        unique += 1
        let request = le(UInt32(40 + body.count), operation) + le64(unique, node) + le(0, 0, 1, 0) + body
        let mark = driver.allocate(0)
        defer { driver.release(to: mark) }
        let (question, answer) = (driver.allocate(UInt64(request.count)), driver.allocate(UInt64(max(room, 1))))
        try driver.memory.write(request, at: question)
        try driver.queues[queue].add(readable: [(question, request.count)], writable: room > 0 ? [(answer, room)] : [])
        try driver.queues[queue].publish()
        try driver.settle()
        let used = try driver.queues[queue].takeUsed()
        guard used.count == 1 else { throw NoAnswer() }
        guard used[0].written > 0 else { return [] }
        let bytes = try driver.memory.read(Int(used[0].written), at: answer)
        #expect(integer(bytes, 0, 4) == UInt64(bytes.count) && integer(bytes, 8, 8) == unique)
        let error = Int32(bitPattern: UInt32(integer(bytes, 4, 4)))
        if error != 0 { throw Failure(errno: -error) }
        return Array(bytes.dropFirst(16))
    }

    func create(_ name: String) throws -> UInt64 {
        let root = integer(try ask(1, Array("0".utf8) + [0]), 0, 8)
        return integer(try ask(35, node: root, le(UInt32(O_RDWR), 0o100644, 0, 0) + Array(name.utf8) + [0]), 128, 8)
    }

    func write(_ bytes: [UInt8], to handle: UInt64, at offset: UInt64 = 0) throws -> UInt64 {
        integer(try ask(16, le64(handle, offset) + le(UInt32(bytes.count), 0) + le64(0) + le(0, 0) + bytes), 0, 4)
    }

    func read(_ count: UInt32, from handle: UInt64, at offset: UInt64 = 0, room: Int? = nil) throws -> [UInt8] {
        try ask(15, le64(handle, offset) + le(count, 0) + le64(0) + le(0, 0), room: room ?? Int(count) + 16)
    }

    /// Of an open directory, one answer: names, their nodes, and where the next one begins. Empty at the end.
    func list(_ handle: UInt64, from offset: UInt64, withAttributes: Bool, room: UInt32 = 4096) throws -> (
        names: [String], nodes: [UInt64], end: UInt64
    ) {
        let body = try ask(withAttributes ? 44 : 28, le64(handle, offset) + le(room, 0) + le64(0) + le(0, 0), room: Int(room) + 16)
        var (names, nodes, end, index): ([String], [UInt64], UInt64, Int) = ([], [], offset, 0)
        while index < body.count {
            let node = withAttributes ? integer(body, index, 8) : 0
            if withAttributes { index += 128 }
            end = integer(body, index + 8, 8)
            let length = Int(integer(body, index + 16, 4))
            #expect(length > 0, "a driver takes no name without bytes")
            names.append(String(decoding: body[index + 24..<index + 24 + length], as: UTF8.self))
            if node != 0 { nodes.append(node) }
            index += (24 + length + 7) / 8 * 8
        }
        return (names, nodes, end)
    }

    func openDirectory(_ node: UInt64) throws -> UInt64 {
        let opened = try ask(27, node: node, le(0, 0))
        #expect(opened.count == 16, "a driver takes no more")
        return integer(opened, 0, 8)
    }

    func closeDirectory(_ handle: UInt64) throws { try ask(29, le64(handle) + le(0, 0) + le64(0)) }

    func close(_ handle: UInt64) throws { try ask(18, le64(handle) + le(0, 0) + le64(0)) }
}

private func expectErrno(_ errno: Int32, _ location: SourceLocation = #_sourceLocation, _ body: () throws -> Void) {
    #expect(throws: Mounted.Failure(errno: errno), sourceLocation: location, performing: body)
}

@Suite(.serialized) struct FileSystems {
    private let directory: String

    init() throws {
        var template = Array("/tmp/files-XXXXXX".utf8CString)
        // SAFETY: mkdtemp replaces the X in place.
        guard unsafe mkdtemp(&template) != nil else { throw SystemError(call: "mkdtemp", errno: errno) }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func contents(_ name: String) throws -> [UInt8] {
        let file = try ScratchFile(owning: OwnedDescriptor.open(directory + "/" + name, O_RDONLY))
        return try file.bytes
    }

    @Test func theConfigurationHoldsTagAndQueues() throws {
        let driver = try MockDriver(try FileSystem(try StandInNames(), tag: "files", openFiles: 1))
        #expect(driver.read(MMIO.deviceID) == 26)
        let tag = (0..<9).map { driver.read(MMIO.configuration + 4 * UInt64($0)) }
        #expect(tag == [0x656C_6966, 0x73, 0, 0, 0, 0, 0, 0, 0])
        #expect(driver.read(MMIO.configuration + 36) == 1)
        for tag in ["", String(repeating: "x", count: 37)] {
            #expect(throws: VirtioDevicesError.tagLength(tag)) { try FileSystem(try StandInNames(), tag: tag, openFiles: 1) }
        }
    }

    @Test func bytesGoToFilesAndComeBack() throws {
        let mounted = try Mounted(try LocalNames(directory))
        let handle = try mounted.create("file")
        #expect(try mounted.write(Array("hello world".utf8), to: handle) == 11)
        #expect(try mounted.write(Array("W".utf8), to: handle, at: 6) == 1)
        #expect(try contents("file") == Array("hello World".utf8))
        #expect(try mounted.read(100, from: handle) == Array("hello World".utf8))
        #expect(try mounted.read(5, from: handle, at: 6) == Array("World".utf8))
        #expect(try mounted.read(5, from: handle, at: 11) == [])
        let large = (0..<3 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(try mounted.write(large, to: handle, at: 1 << 20) == UInt64(large.count))
        #expect(try mounted.read(3 << 20, from: handle, at: 1 << 20) == large)
        // A hole up to a megabyte, found, filled, and copied.
        #expect(integer(try mounted.ask(46, le64(handle, 65536) + le(3, 0)), 0, 8) == 1 << 20)
        try mounted.ask(43, le64(handle, 4 << 20, 4096) + le(0, 0))
        #expect(try contents("file").count == 4 << 20 + 4096)
        let copy = try mounted.create("copy")
        #expect(integer(try mounted.ask(47, le64(handle, 0, 0, copy, 3, 5, 0)), 0, 4) == 5)
        #expect(try contents("copy") == [0, 0, 0] + Array("hello".utf8))
        for flags in [UInt32(0), 1] { try mounted.ask(20, le64(handle) + le(flags, 0)) }
        try mounted.close(handle)
        expectErrno(EBADF) { _ = try mounted.read(1, from: handle) }
    }

    @Test func whatMakesNoSenseIsRefused() throws {
        let mounted = try Mounted(try LocalNames(directory))
        let handle = try mounted.create("file")
        for (offset, count) in [(UInt64.max, UInt32(1)), (UInt64(Int64.max), 1), (0, 1 << 24)] {
            expectErrno(EINVAL) { _ = try mounted.read(count, from: handle, at: offset, room: 4096) }
        }
        expectErrno(EINVAL) { _ = try mounted.write([1], to: handle, at: UInt64(Int64.max)) }
        // More announced than there is.
        expectErrno(EINVAL) { try mounted.ask(16, le64(handle, 0) + le(100, 0) + le64(0) + le(0, 0) + [1, 2, 3]) }
        expectErrno(EBADF) { _ = try mounted.write([1], to: handle + 1) }
        expectErrno(EINVAL) { try mounted.ask(46, le64(handle, 0) + le(0, 0)) }
        expectErrno(EINVAL) { try mounted.ask(47, le64(handle, 0, 0, handle, 0, 1, 1)) }
        expectErrno(ENOSYS) { try mounted.ask(25, le64(handle) + le(0, 0) + le64(0)) }
        expectErrno(E2BIG) { try mounted.ask(21, [UInt8](repeating: 0x61, count: 100_000)) }
        // Read into less room than asked for: as much as fits. No room for a header: nothing at all.
        #expect(try mounted.write(Array("0123456789".utf8), to: handle) == 10)
        #expect(try mounted.read(10, from: handle, room: 20) == Array("0123".utf8))
        #expect(try mounted.read(10, from: handle, room: 15) == [])
        expectErrno(EIO) { try mounted.ask(3, node: 1, le(0, 0) + le64(0), room: 30) }
        #expect(try mounted.ask(3, node: 1, le(0, 0) + le64(0), room: 10) == [])
        #expect(mounted.driver.status == Status.live)
    }

    @Test func onlySoManyFilesAreOpen() throws {
        let mounted = try Mounted(try LocalNames(directory), openFiles: 3)
        let handles = try (0..<3).map { try mounted.create("\($0)") }
        expectErrno(EMFILE) { _ = try mounted.create("3") }
        try mounted.close(handles[1])
        _ = try mounted.create("4")
        // Whoever begins anew has none.
        try mounted.driver.start()
        try mounted.ask(26, node: 0, le(7, 41, 0, 0))
        for handle in handles { expectErrno(EBADF) { _ = try mounted.read(1, from: handle) } }
    }

    @Test func whatIsForgottenIsNotAnswered() throws {
        let names = try StandInNames()
        let mounted = try Mounted(names)
        let asked = names.asked
        #expect(try mounted.ask(2, node: 5, le64(1), room: 0, queue: 0) == [])
        #expect(try mounted.ask(42, node: 0, le(1, 0) + le64(5, 1), queue: 0) == [])
        #expect(names.told == 0, "it can wait")
        // An interrupt is nobody's business.
        #expect(try mounted.ask(36, node: 0, le64(1), queue: 0) == [])
        #expect(names.told == 0 && names.asked == asked)
        try mounted.ask(3, le(0, 0) + le64(0))
        #expect(names.told == 1 && names.asked == asked + 1, "until something is asked")
        #expect(names.lastTold == RequestHeader.forget([.init(node: 5, lookups: 1), .init(node: 5, lookups: 1)]))
        for _ in 0..<RequestHeader.forgottenLimit { #expect(try mounted.ask(2, node: 5, le64(1), room: 0, queue: 0) == []) }
        #expect(names.told == 2 && names.asked == asked + 1, "or there is much of it")
        // In one request of the driver's, too; one that says more than it has is nothing.
        let many = (0..<2 * UInt64(RequestHeader.forgottenLimit) + 1).flatMap { le64($0 + 2, 1) }
        #expect(try mounted.ask(42, node: 0, le(UInt32(many.count / 16), 0) + many, queue: 0) == [])
        #expect(names.told == 5)
        #expect(names.lastTold == RequestHeader.forget([.init(node: 2 * UInt64(RequestHeader.forgottenLimit) + 2, lookups: 1)]))
        #expect(try mounted.ask(42, node: 0, le(7, 0) + le64(5, 1), queue: 0) == [])
        try mounted.ask(3, le(0, 0) + le64(0))
        #expect(names.told == 5 && names.asked == asked + 2)
        // The device's end is a goodbye, once.
        mounted.driver.reset()
        mounted.driver.reset()
        #expect(names.asked == asked + 3)
    }

    private func fill(_ count: Int) throws -> Set<String> {
        let names = (0..<count).map { "file-number-\($0)" }
        for name in names { _ = try OwnedDescriptor.open(directory + "/" + name, O_CREAT | O_WRONLY, mode: 0o644) }
        return Set(names).union([".", ".."])
    }

    /// Opening, reading, the end, closing: one question.
    @Test func aDirectoryIsListedByOneQuestion() throws {
        let expected = try fill(10)
        for withAttributes in [true, false] {
            let names = try LocalNames(directory)
            let mounted = try Mounted(names)
            let root = integer(try mounted.ask(1, Array("0".utf8) + [0]), 0, 8)
            let handle = try mounted.openDirectory(root)
            let listed = try mounted.list(handle, from: 0, withAttributes: withAttributes)
            #expect(Set(listed.names) == expected && listed.nodes.count == (withAttributes ? 10 : 0))
            #expect(try mounted.list(handle, from: listed.end, withAttributes: !withAttributes).names == [])
            try mounted.closeDirectory(handle)
            #expect(names.asked == [26, 1, 27])
            // What the driver was told of remains known until it forgets it; what it was not told of is forgotten.
            for node in listed.nodes { try mounted.ask(2, node: node, le64(1), room: 0, queue: 0) }
            try mounted.ask(3, le(0, 0) + le64(0))
            #expect(names.server.nodeCount == 1)
            expectErrno(EBADF) { _ = try mounted.list(handle, from: 0, withAttributes: withAttributes) }
        }
    }

    @Test func longDirectoriesAreListedAhead() throws {
        let expected = try fill(700)
        for withAttributes in [true, false] {
            let names = try LocalNames(directory, nodes: 1000)
            let mounted = try Mounted(names)
            let root = integer(try mounted.ask(1, Array("0".utf8) + [0]), 0, 8)
            let handle = try mounted.openDirectory(root)
            var (listed, nodes, offset, answers): ([String], [UInt64], UInt64, Int) = ([], [], 0, 0)
            while true {
                // As Linux: with attributes at first, and then as it is used.
                let part = try mounted.list(handle, from: offset, withAttributes: withAttributes || offset == 0)
                if part.names.isEmpty { break }
                listed += part.names
                nodes += part.nodes
                offset = part.end
                answers += 1
            }
            #expect(listed.count == 702 && Set(listed) == expected && nodes.count == (withAttributes ? 700 : 22))
            // 16 KiB at a time: 90 names with what they are, or 340 without.
            #expect(answers >= (withAttributes ? 29 : 8) && names.asked.count <= 3 + (withAttributes ? 8 : 3), "\(answers), \(names.asked)")
            try mounted.closeDirectory(handle)
            for node in nodes { try mounted.ask(2, node: node, le64(1), room: 0, queue: 0) }
            try mounted.ask(3, le(0, 0) + le64(0))
            #expect(names.server.nodeCount == 1)
        }
    }

    /// What has changed, or may have, is asked for again: a driver must not take an old size for a new one.
    @Test func whatHasChangedIsListedAnew() throws {
        let expected = try fill(30)
        let names = try LocalNames(directory)
        let mounted = try Mounted(names)
        let root = integer(try mounted.ask(1, Array("0".utf8) + [0]), 0, 8)
        let file = try mounted.create("written")
        let handle = try mounted.openDirectory(root)
        #expect(try mounted.write(Array("hello".utf8), to: file) == 5)
        let asked = names.asked.count
        let first = try mounted.list(handle, from: 0, withAttributes: true)
        #expect(names.asked.count == asked + 1 && first.names.count == 24)
        // From now on no more than the driver asks for.
        let second = try mounted.list(handle, from: first.end, withAttributes: true, room: 1024)
        #expect(second.names.count == 6)
        #expect(try mounted.list(handle, from: second.end, withAttributes: true).names.count == 3)
        #expect(names.asked.count == asked + 3)
        try mounted.closeDirectory(handle)
        // A part of it was told: the rest is forgotten, and what was opened to be read changes nothing.
        let again = try mounted.openDirectory(root)
        let some = try mounted.list(again, from: 0, withAttributes: true, room: 1024)
        try mounted.ask(14, node: some.nodes[0], le(UInt32(O_RDONLY), 0))
        #expect(names.asked.count == asked + 5)
        let others = try mounted.list(again, from: some.end, withAttributes: true, room: 1024)
        #expect(names.asked.count == asked + 5 && Set(some.names).isDisjoint(with: others.names))
        try mounted.ask(14, node: some.nodes[0], le(UInt32(O_WRONLY | O_TRUNC), 0))
        #expect(try mounted.list(again, from: others.end, withAttributes: true).names.count > 0)
        #expect(names.asked.count == asked + 7)
        // Elsewhere than where it ended, it is read as asked for.
        #expect(try mounted.list(again, from: 0, withAttributes: true, room: 1024).names == some.names)
        try mounted.closeDirectory(again)
        #expect(Set(first.names + second.names).count == 30 && expected.count == 32)
    }

    @Test func whatIsOldIsListedAnew() throws {
        let time = Atomic<UInt64>(1 << 40)
        let names = try LocalNames(directory)
        let mounted = try Mounted(names) { time.load(ordering: .relaxed) }
        let root = integer(try mounted.ask(1, Array("0".utf8) + [0]), 0, 8)
        for (age, questions) in [(UInt64(100_000_000), [UInt8(27)]), (100_000_001, [27, 44])] {
            let asked = names.asked.count
            let handle = try mounted.openDirectory(root)
            time.add(age, ordering: .relaxed)
            #expect(Set(try mounted.list(handle, from: 0, withAttributes: true).names) == [".", ".."])
            #expect(Array(names.asked[asked...]) == questions)
        }
    }

    /// Where the VMM may have no more descriptors, the kernel drops what was sent.
    @Test func aFileThatIsLostIsSaid() throws {
        let names = try StandInNames()
        let mounted = try Mounted(names)
        names.losesFiles = true
        let told = names.told
        expectErrno(EMFILE) { try mounted.ask(14, node: 2, le(0, 0)) }
        #expect(names.told == told)
        expectErrno(EMFILE) { try mounted.ask(35, node: 2, le(0, 0o100644, 0, 0) + [0x61, 0]) }
        try mounted.ask(3, le(0, 0) + le64(0))
        #expect(names.told == told + 1, "the node of the new file is forgotten")
    }

    @Test func aServerThatFailsStopsTheDevice() throws {
        let names = try StandInNames()
        let mounted = try Mounted(names)
        let other = le(16, 0) + le64(12345)
        let answers: [[UInt8]?] = [[1, 2, 3], other, Array(other.dropLast()), nil]
        for nonsense in answers {
            try mounted.driver.start()
            names.nonsense = nonsense
            names.isGone = nonsense == nil
            let failures = mounted.driver.hostFailures.count
            #expect(throws: Mounted.NoAnswer.self) { try mounted.ask(3, le(0, 0) + le64(0)) }
            #expect(mounted.driver.status & Status.needsReset != 0)
            #expect(mounted.driver.hostFailures.count == failures + 1)
        }
    }

    @Test func aRequestWithoutItsLengthStopsTheDevice() throws {
        for length in [UInt32(39), 41, 0, .max] {
            let mounted = try Mounted(try StandInNames())
            let buffer = mounted.driver.allocate(100)
            try mounted.driver.memory.write(le(length, 3) + [UInt8](repeating: 0, count: 32), at: buffer)
            try mounted.driver.queues[1].add(readable: [(buffer, 40)], writable: [])
            try mounted.driver.queues[1].publish()
            try mounted.driver.settle()
            #expect(mounted.driver.status & Status.needsReset != 0)
            #expect(mounted.driver.hostFailures.count == 0, "it is the driver's fault")
        }
    }
}
