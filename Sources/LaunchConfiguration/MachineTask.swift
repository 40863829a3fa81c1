// What a microVM is started for, and so who speaks with its agent.
public import Wire

public enum MachineTask: WireCodable, Equatable, Sendable {
    case container(SupervisorConfiguration)
    case unpacking(UnpackingConfiguration)

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .container(let configuration):
            encoder.integer(UInt8(0))
            configuration.encode(into: &encoder)
        case .unpacking(let configuration):
            encoder.integer(UInt8(1))
            configuration.encode(into: &encoder)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .container(try SupervisorConfiguration(from: &decoder))
        case 1: self = .unpacking(try UnpackingConfiguration(from: &decoder))
        default: throw .unknownValue
        }
    }
}

/// A container, for the VM's whole life: frames of AgentProtocol that it passes on unread, and the ends of the streams.
public struct SupervisorConfiguration: WireCodable, Equatable, Sendable {
    /// Frames (HostMessage) sent to the agent when it has said hello, back to back.
    public var frames: [UInt8]
    /// The process whose exit status ends the VM, and the container that it is in.
    public var process: UInt32
    public var container: UInt32 = 1
    /// Host ports of the process's streams; with a terminal, `outputPort` carries both directions and `errorPort` is 0. 0: not connected.
    public var inputPort: UInt32
    public var outputPort: UInt32
    public var errorPort: UInt32
    /// Standard input is put into raw mode and window size changes are forwarded.
    public var terminal: Bool
    /// The signal that the process gets when the VMM gets SIGTERM, the request to stop (the image's StopSignal).
    public var stopSignal: UInt8 = 15
    /// Where other commands than the one that made the container decide about it; nil: its life is that command's.
    public var lifecycle: LifecycleDescriptors?

    public init(frames: [UInt8], process: UInt32, inputPort: UInt32, outputPort: UInt32, errorPort: UInt32, terminal: Bool) {
        self.frames = frames
        self.process = process
        self.inputPort = inputPort
        self.outputPort = outputPort
        self.errorPort = errorPort
        self.terminal = terminal
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.byteString(frames)
        encoder.integer(process)
        encoder.integer(container)
        encoder.integer(inputPort)
        encoder.integer(outputPort)
        encoder.integer(errorPort)
        encoder.boolean(terminal)
        encoder.integer(stopSignal)
        encoder.optional(lifecycle)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        frames = try decoder.byteString(atMost: 16 << 20)
        process = try decoder.integer()
        container = try decoder.integer()
        inputPort = try decoder.integer()
        outputPort = try decoder.integer()
        errorPort = try decoder.integer()
        terminal = try decoder.boolean()
        stopSignal = try decoder.integer()
        guard (1...64).contains(stopSignal) else { throw .unknownValue }
        lifecycle = try decoder.optional()
    }
}

/// How the OCI commands reach a container that runs without them (docs/adr/0017).
public struct LifecycleDescriptors: WireCodable, Equatable, Sendable {
    /// A listening socket (SOCK_SEQPACKET) for `ControlRequest`s.
    public var control: Int32
    /// A file whose first byte is a `LifecycleStatus`.
    public var status: Int32
    /// The user whose requests are obeyed, as this process's user namespace has it.
    public var owner: UInt32

    public init(control: Int32, status: Int32, owner: UInt32) {
        self.control = control
        self.status = status
        self.owner = owner
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.signed(control)
        encoder.signed(status)
        encoder.integer(owner)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        control = try decoder.signed()
        status = try decoder.signed()
        owner = try decoder.integer()
    }
}

/// Layers that become disk images: the agent unpacks one after another onto the first disk, whose changes are copied (`DiskAccess.copyOnWrite`).
public struct UnpackingConfiguration: WireCodable, Equatable, Sendable {
    /// A layer's request to the agent, and perhaps where the disk's map goes once the layer is on it.
    public struct Step: WireCodable, Equatable, Sendable {
        /// A frame of AgentProtocol that the VMM passes on unread.
        public var frame: [UInt8]
        /// Where the disk is to be sealed after this layer: an empty file for the map's runs (`DiskMap`).
        public var map: Int32?

        public init(frame: [UInt8], map: Int32?) {
            self.frame = frame
            self.map = map
        }

        public func encode(into encoder: inout WireEncoder) {
            encoder.byteString(frame)
            encoder.boolean(map != nil)
            encoder.signed(map ?? -1)
        }

        public init(from decoder: inout WireDecoder) throws(WireError) {
            frame = try decoder.byteString(atMost: 1 << 20)
            let hasMap = try decoder.boolean()
            let descriptor = try decoder.signed()
            map = hasMap ? descriptor : nil
        }
    }

    /// As many of them have a map as the disk has files for changes.
    public var steps: [Step]

    public init(steps: [Step]) { self.steps = steps }

    public func encode(into encoder: inout WireEncoder) {
        encoder.list(steps)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        steps = try decoder.list(atMost: 4096)
    }
}
