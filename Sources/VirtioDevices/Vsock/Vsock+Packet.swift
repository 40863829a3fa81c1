// Packets of the socket device: virtio 1.2 §5.10.6.

/// `struct virtio_vsock_hdr`. Swift lays these fields out as the packed structure: 44 bytes without a gap, and the host is little-endian as the wire is.
struct VsockHeader: BitwiseCopyable, Equatable {
    static let size: UInt64 = 44

    var sourceCID: UInt64 = 0
    var destinationCID: UInt64 = 0
    var sourcePort: UInt32 = 0
    var destinationPort: UInt32 = 0
    /// Payload in bytes.
    var length: UInt32 = 0
    var type: UInt16 = VsockHeader.stream
    var operation: UInt16 = 0
    var flags: UInt32 = 0
    /// The sender's receive buffer in bytes, and how many bytes it has taken out since the connection began, modulo 2^32.
    var bufferAllocation: UInt32 = 0
    var forwardedCount: UInt32 = 0

    /// VIRTIO_VSOCK_TYPE_STREAM.
    static let stream: UInt16 = 1
}

enum VsockOperation {
    static let request: UInt16 = 1
    static let response: UInt16 = 2
    static let reset: UInt16 = 3
    static let shutdown: UInt16 = 4
    static let data: UInt16 = 5
    static let creditUpdate: UInt16 = 6
    static let creditRequest: UInt16 = 7
}

/// Flags of SHUTDOWN: what its sender will no longer do.
struct VsockShutdown: OptionSet {
    let rawValue: UInt32
    static let receive = VsockShutdown(rawValue: 1)
    static let send = VsockShutdown(rawValue: 2)
    static let both: VsockShutdown = [.receive, .send]
}

/// What tells one connection from another, the CIDs being fixed.
struct VsockPorts: Hashable {
    let host: UInt32
    let guest: UInt32
}
