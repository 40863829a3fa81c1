// The virtio file system device: virtio 1.2 §5.11. What it carries are FUSE's requests; who knows the files' names is another process (docs/adr/0016).
//
//   hiprio ───┐                     ┌── names ──▶ NameService ──▶ answer, perhaps with an open file ──┐
//             ├──▶ header ──▶ part? ┤                                                                 ├──▶ used
//   requests ─┘                     └── bytes ──▶ the open file, straight from or to guest RAM ───────┘
import FUSE
public import LinuxSystem
public import Virtio

/// Who answers what is asked about names. Asked one thing at a time.
public protocol NameService: AnyObject {
    /// The answer to a whole request.
    func ask(_ request: [UInt8]) throws(SystemError) -> ReceivedPacket
    /// Passes on one that has none.
    func tell(_ request: [UInt8]) throws(SystemError)
    /// Passes on one whose answer nobody waits for.
    func leave(_ request: [UInt8]) throws(SystemError)
}

/// A file system, as its driver sees it: trees of the host.
public final class FileSystem: VirtioDevice {
    /// The least that a driver needs for requests of a megabyte: a descriptor for each page, and some (Linux).
    private static let requestQueueSize: UInt16 = 512
    private static let priorityQueueSize: UInt16 = 64
    /// What the device does before it lets go of its registers: requests and bytes.
    private static let turn = 64
    static let turnBytes: UInt64 = 8 << 20
    /// Of a tag, in bytes (§5.11.4).
    private static let tagLimit = 36
    /// How many directories wait to be closed.
    private static let closingsLimit = 16

    let names: any NameService
    var files: OpenFileTable
    private let configuration: ConfigurationSpace
    private var queues: [SplitQueue] = []
    /// The name service has to be told when the driver begins anew.
    private var isGreeted = false
    /// What the driver has forgotten and the name service hasn't been told of yet: a driver says it of each file by itself.
    private var forgotten: [FUSE.Operation.Forgotten] = []
    /// Whole requests that close directories: they can wait as well.
    private var closings: [[UInt8]] = []
    private var ahead = ListingsAhead()
    private let clock: @Sendable () -> UInt64
    /// Bytes moved in this turn.
    var moved: UInt64 = 0
    /// Since the device was made.
    public internal(set) var metrics = FileSystemMetrics()

    /// `tag`: by which the driver's system mounts it. `openFiles`: how many the driver may have. `clock`: in nanoseconds.
    public init(
        _ names: any NameService, tag: String, openFiles: Int, clock: @escaping @Sendable () -> UInt64 = monotonicNanoseconds
    ) throws(VirtioDevicesError) {
        guard (1...Self.tagLimit).contains(tag.utf8.count) else { throw .tagLength(tag) }
        self.names = names
        self.clock = clock
        files = OpenFileTable(limit: openFiles)
        var space = ConfigurationSpace()
        for byte in Array(tag.utf8) + [UInt8](repeating: 0, count: Self.tagLimit - tag.utf8.count) { space.append(byte) }
        space.append(UInt32(1))  // num_request_queues
        configuration = space
    }

    public let traits = DeviceTraits(id: 26, features: 0, queueSizes: [FileSystem.priorityQueueSize, FileSystem.requestQueueSize])

    public func readConfiguration(offset: Int, size: Int) -> UInt64 { configuration.read(offset: offset, size: size) }

    /// Nothing in it is the driver's to write.
    public func writeConfiguration(offset: Int, size: Int, value: UInt64) {}

    public func activate(_ activation: Activation) { queues = activation.queues }

    public func queueNotified(_ index: Int) throws(VirtioError) -> Progress {
        guard queues.indices.contains(index) else { return .idle }
        moved = 0
        return try queues[index].serve(atMost: Self.turn) { (chain) throws(VirtioError) in
            // The rest of the turn's requests have theirs.
            guard moved < Self.turnBytes else { return .putBack }
            return .used(try serve(chain))
        }.orMore(moved >= Self.turnBytes)
    }

    /// Never called: the device has no poll descriptor.
    public func hostReady() -> Progress { .idle }

    public func reset() {
        queues = []
        closeAll()
        forgotten = []
        closings = []
        guard isGreeted else { return }
        isGreeted = false
        // Whoever can't be told any more is found out when it is asked next.
        _ = try? names.ask(RequestHeader.goodbye)
    }

    // MARK: Requests

    /// Returns how many bytes of the chain were written.
    private func serve(_ chain: borrowing DescriptorChain) throws(VirtioError) -> UInt32 {
        metrics.requests += 1
        var reader = chain.reader
        let total = reader.remaining
        // All of most requests at once; of a WRITE no more than this.
        var bytes = try reader.bytes(RequestHeader.writeLength)
        guard let header = try? RequestHeader(bytes, of: Int(total)) else { throw .malformedRequest("a request without a header of its length") }
        if !header.isWrite, total > UInt64(bytes.count) {
            guard total <= UInt64(Request.lengthLimit) else { return try write(Answer(to: header.unique, errno: tooLong), to: chain) }
            bytes += try reader.bytes(Int(total) - bytes.count)
        }
        if header.changesFiles(bytes) { ahead.dropAll { forgotten.append($0) } }
        switch header.part {
        case .nothing: return 0
        case .unanswered:
            guard case .forget(let nodes) = (try? Request(header, bytes))?.operation else { return 0 }
            for one in nodes { forgotten.append(.init(node: one.node == 0 ? header.node : one.node, lookups: one.lookups)) }
            if forgotten.count >= RequestHeader.forgottenLimit { try sayWhatIsForgotten() }
            return 0
        case .bytes: return try move(header, bytes, reader, chain)
        case .names:
            if header.startsOver {
                closeAll()
                isGreeted = true
            }
            return try write(try ask(header, bytes).answer, to: chain)
        case .opening(let handle): return try write(try open(header, bytes, handle), to: chain)
        case .openingDirectory: return try write(try openDirectory(header, bytes), to: chain)
        case .listing: return try write(try list(header, bytes), to: chain)
        case .closingDirectory: return try write(try closeDirectory(header, bytes), to: chain)
        }
    }

    private func closeAll() {
        files.closeAll()
        ahead.reset()
    }

    private func ask(_ header: RequestHeader, _ request: [UInt8]) throws(VirtioError) -> (answer: Answer, file: SharedDescriptor?) {
        try sayWhatIsForgotten()
        for closing in closings { try telling { () throws(SystemError) in try names.leave(closing) } }
        closings = []
        var packet: ReceivedPacket?
        try telling { () throws(SystemError) in packet = try names.ask(request) }
        guard let packet, let answer = Answer(to: header.unique, received: packet.bytes) else {
            throw .host(SystemError(call: "recvmsg", errno: protocolError))
        }
        return (answer, packet.file)
    }

    /// The answer with the handle of the file that was opened.
    private func open(_ header: RequestHeader, _ request: [UInt8], _ offset: Int) throws(VirtioError) -> Answer {
        guard !files.isFull else { return Answer(to: header.unique, errno: tooManyFiles) }
        var (answer, file) = try ask(header, request)
        guard answer.isSuccess else { return answer }
        if let file, answer.setHandle(files.insert(file), at: offset) { return answer }
        // This process may not have one more. The driver doesn't learn of the node that comes with a new file, and can't forget it.
        if answer.node != 0 { forgotten.append(.init(node: answer.node, lookups: 1)) }
        return Answer(to: header.unique, errno: tooManyFiles)
    }

    // MARK: Directories

    private func openDirectory(_ header: RequestHeader, _ request: [UInt8]) throws(VirtioError) -> Answer {
        let asked = clock()
        var answer = try ask(header, request).answer
        if let (handle, listing) = answer.takeListing(), !listing.isEmpty {
            ahead.keep(listing, of: handle, from: 0, hasEntries: true, asked: asked) { forgotten.append($0) }
        }
        return answer
    }

    private func list(_ header: RequestHeader, _ request: [UInt8]) throws(VirtioError) -> Answer {
        guard case .readDirectory(let range, let withAttributes) = (try? Request(header, request))?.operation else {
            return Answer(to: header.unique, errno: invalid)
        }
        let asked = clock()
        if let known = ahead.take(range, withAttributes: withAttributes, now: asked, { forgotten.append($0) }) {
            return Answer(to: header.unique, bytes: known)
        }
        var request = request
        let isAhead = ahead.contains(range.handle)
        if isAhead, range.count < ListingsAhead.length { RequestHeader.enlarge(&request, to: ListingsAhead.length) }
        let answer = try ask(header, request).answer
        guard answer.isSuccess else { return answer }
        ahead.keep(Array(answer.contents), of: range.handle, from: range.offset, hasEntries: withAttributes, asked: asked) { forgotten.append($0) }
        defer { if !isAhead { ahead.drop(range.handle) { forgotten.append($0) } } }
        return Answer(to: header.unique, bytes: ahead.take(range, withAttributes: withAttributes, now: asked) { forgotten.append($0) } ?? [])
    }

    /// The driver need not wait for that, nor does the server have to be woken for it alone.
    private func closeDirectory(_ header: RequestHeader, _ request: [UInt8]) throws(VirtioError) -> Answer {
        guard case .releaseDirectory(let handle) = (try? Request(header, request))?.operation else {
            return Answer(to: header.unique, errno: invalid)
        }
        ahead.drop(handle) { forgotten.append($0) }
        guard closings.count < Self.closingsLimit else { return try ask(header, request).answer }
        closings.append(request)
        return Answer(to: header.unique)
    }

    /// When something is asked, or when it is much: the server is woken once for all of it.
    private func sayWhatIsForgotten() throws(VirtioError) {
        var rest = forgotten[...]
        forgotten = []
        while !rest.isEmpty {
            let request = RequestHeader.forget(rest.prefix(RequestHeader.forgottenLimit))
            try telling { () throws(SystemError) in try names.tell(request) }
            rest = rest.dropFirst(RequestHeader.forgottenLimit)
        }
    }

    private func telling(_ body: () throws(SystemError) -> Void) throws(VirtioError) {
        do throws(SystemError) { try body() } catch { throw .host(error) }
    }

    /// A driver that has left too little room gets nothing.
    func write(_ answer: Answer, to chain: borrowing DescriptorChain) throws(VirtioError) -> UInt32 {
        var writer = chain.writer
        guard writer.remaining >= UInt64(answer.bytes.count) else {
            guard writer.remaining >= UInt64(Answer.headerLength), answer.isSuccess else { return 0 }
            return try write(Answer(to: answer.unique, errno: inputOutputError), to: chain)
        }
        return UInt32(try writer.write(bytes: answer.bytes))
    }
}

extension Progress {
    fileprivate func orMore(_ isMore: Bool) -> Progress { isMore ? .more : self }
}
