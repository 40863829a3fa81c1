// What a device is to its transport.
//
//              activate             queueNotified, hostReady
//   created ──────────────▶ active ◀──────────┐
//      ▲                      │ └─────────────┘
//      └──────── reset ───────┘   (also after an error that one of them threw)
public import AddressSpace

/// What never changes about a device.
public struct DeviceTraits: Sendable {
    /// Device type, §5.
    public let id: UInt32
    /// The device's own feature bits (0 to 23 and 50 up); the transport adds those of rings and of version 1.
    public let features: UInt64
    /// The largest size of each queue, powers of two up to 32768.
    public let queueSizes: [UInt16]
    /// Becomes readable when `hostReady` has something to do; an epoll of the device's own, so that the VMM's loop watches one descriptor per device.
    public let pollDescriptor: Int32?

    public init(id: UInt32, features: UInt64, queueSizes: [UInt16], pollDescriptor: Int32? = nil) {
        self.id = id
        self.features = features
        self.queueSizes = queueSizes
        self.pollDescriptor = pollDescriptor
    }
}

/// What the driver and the transport agreed on: valid until the device's `reset`.
public struct Activation {
    /// Accepted feature bits, the transport's included.
    public let features: UInt64
    public let memory: GuestMemory
    /// One per entry of `DeviceTraits.queueSizes`. A queue that the driver left out is there too, and always empty.
    public let queues: [SplitQueue]
    public let interrupt: InterruptLine
}

/// Whether a call left work behind.
public enum Progress: Sendable {
    case idle
    /// It stopped at its bound. The transport has the queue notified again (queue 0 after `hostReady`), so that other devices get their turn before.
    case more
}

/// A virtio device (virtio 1.2 §5) below its transport, which enters it under a mutex: a device needs no lock of its own.
///
/// An error thrown sets DEVICE_NEEDS_RESET; the device is reset then and not entered again before the driver has reset and activated it anew.
public protocol VirtioDevice: AnyObject {
    var traits: DeviceTraits { get }
    /// Device configuration space, §2.5: `size` (1 to 8) bytes at `offset`; zero outside it. Any offset at any time.
    func readConfiguration(offset: Int, size: Int) -> UInt64
    func writeConfiguration(offset: Int, size: Int, value: UInt64)
    /// The driver has set DRIVER_OK.
    func activate(_ activation: Activation) throws(VirtioError)
    /// The driver made buffers of this queue available; spurious calls happen.
    func queueNotified(_ index: Int) throws(VirtioError) -> Progress
    /// `pollDescriptor` is readable; not called while the device isn't active.
    func hostReady() throws(VirtioError) -> Progress
    /// Forgets everything that the driver did. The device's host side stays.
    func reset()
}
