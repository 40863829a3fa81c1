// The way to the host that every machine's PID 1 has: messages over vsock, and the timeline's port.
public import AgentProtocol
internal import CGuest
public import GuestSystem
internal import Wire

public final class HostLink {
    public let descriptor: OwnedDescriptor
    /// Open for writing: a byte at `AgentProtocol.timelinePort` is a mark.
    public let timeline: Int32
    private var reader = FrameReader()

    /// Ends the machine where the host can't be reached.
    public init() {
        timeline = HostLink.openTimeline()
        InputOutput.writeByte(timeline, TimelineMark.initStarted.rawValue, at: Int64(AgentProtocol.timelinePort))
        do throws(SystemError) {
            descriptor = try Machine.connect(toHostPort: AgentProtocol.controlPort, blocking: true).take()
        } catch { Machine.fail("the host can't be reached over vsock: \(error)") }
        mark(.connected)
        send(.hello(version: AgentProtocol.version))
    }

    /// Descriptors 0 to 2 may be closed when the kernel found no console; nothing else must get these numbers.
    private static func openTimeline() -> Int32 {
        try? FileSystem.makeNode("/null", mode: FileType.characterDevice | 0o600, major: 1, minor: 3)
        while let null = try? OwnedDescriptor.open("/null", O_RDWR) {
            if null.raw > 2 { break }
            _ = null.release()
        }
        try? FileSystem.makeNode("/port", mode: FileType.characterDevice | 0o600, major: 1, minor: 4)
        guard let port = try? OwnedDescriptor.open("/port", O_WRONLY) else { return -1 }
        return port.release()
    }

    public func mark(_ mark: TimelineMark) { InputOutput.writeByte(timeline, mark.rawValue, at: Int64(AgentProtocol.timelinePort)) }

    public func send(_ message: AgentMessage) {
        do { try InputOutput.writeAll(descriptor.raw, message.frame.bytes) } catch { Machine.fail("the host's connection is gone: \(error)") }
    }

    public func report(_ kind: FailureKind, _ text: [UInt8], process: UInt32 = 0) {
        send(.failed(process: process, kind: kind, text: Text(bytes: text.filter { $0 != 0 }) ?? "unknown"))
    }

    public func report(_ failure: Failure, process: UInt32 = 0) { report(failure.kind, failure.text.bytes, process: process) }

    /// Waits for what the host says next, and hands on the messages that are whole. A host that is gone ends the machine.
    public func receive(_ handle: (HostMessage) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 8 << 10)
        guard let count = try? InputOutput.read(descriptor.raw, into: &buffer, count: buffer.count), count > 0 else { Machine.reset() }
        reader.append(buffer[..<count])
        do throws(WireError) {
            while let frame = try reader.next() { handle(try HostMessage(frame)) }
        } catch { Machine.fail("the host sent a message that this agent does not know") }
    }
}
