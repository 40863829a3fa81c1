// A name service without files of the host: everything is the same file in memory, and now and then something goes wrong.
import CLinux
import FUSE
import Glibc
public import LinuxSystem
public import VirtioDevices

/// A test and the device that it drives share one thread.
public final class StandInNames: NameService, @unchecked Sendable {
    private let file: SharedDescriptor
    public private(set) var asked = 0
    /// What it was told without being asked.
    public private(set) var told = 0
    public private(set) var lastTold: [UInt8] = []
    /// Answers without the file that belongs to them.
    public var losesFiles = false
    public var isGone = false
    /// Instead of an answer.
    public var nonsense: [UInt8]?

    public init() throws {
        // MFD_CLOEXEC and MFD_ALLOW_SEALING.
        let memory = OwnedDescriptor(owning: try systemCall("memfd_create") { unsafe clinux_memfd_create("files", 3) })
        try memory.truncate(to: 1 << 20)
        // F_ADD_SEALS, F_SEAL_GROW: whoever asks for more than there is would get all of the machine's memory.
        let raw = memory.raw
        try systemCall("fcntl") { clinux_fcntl(raw, 1033, 4) }
        file = SharedDescriptor(memory)
    }

    public func ask(_ request: [UInt8]) throws(SystemError) -> ReceivedPacket {
        if isGone { throw SystemError(call: "recvmsg", errno: ECONNRESET) }
        asked += 1
        if let nonsense { return ReceivedPacket(bytes: nonsense, file: nil) }
        guard let header = try? RequestHeader(request, of: request.count) else { throw SystemError(call: "recvmsg", errno: EPROTO) }
        let entry = Entry(node: 2, attributes: Attributes(), validity: Validity(entry: 0, attributes: 0))
        let answer: Answer
        switch (header.part, header.operation) {
        case (.opening(Answer.headerLength), _): answer = Answer(to: header.unique, handle: 0, flags: 0)
        case (.opening, _): answer = Answer(to: header.unique, entry, handle: 0, flags: 0)
        // LOOKUP, MKDIR, MKNOD and LINK.
        case (_, 1), (_, 8), (_, 9), (_, 13): answer = Answer(to: header.unique, entry)
        // READDIRPLUS: as long as an answer gets.
        case (_, 44): answer = Answer(to: header.unique, bytes: [UInt8](repeating: 0x55, count: 64 << 10))
        case (_, 4): answer = Answer(to: header.unique, errno: EPERM)
        default: answer = Answer(to: header.unique)
        }
        let isOpening = if case .opening = header.part { true } else { false }
        return ReceivedPacket(bytes: answer.bytes, file: isOpening && !losesFiles ? file : nil)
    }

    public func tell(_ request: [UInt8]) throws(SystemError) {
        if isGone { throw SystemError(call: "sendmsg", errno: EPIPE) }
        told += 1
        lastTold = request
    }

    public func leave(_ request: [UInt8]) throws(SystemError) { try tell(request) }
}
