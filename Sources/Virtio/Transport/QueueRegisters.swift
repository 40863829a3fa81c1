// The registers of one queue while the driver sets it up (virtio 1.2 §4.2.2).
import AddressSpace

struct QueueRegisters {
    /// QueueNumMax.
    let limit: UInt16
    private var size: UInt16 = 0
    private var descriptorTable: UInt64 = 0
    private var availableRing: UInt64 = 0
    private var usedRing: UInt64 = 0
    private(set) var ready = false

    init(limit: UInt16) { self.limit = limit }

    /// Where the queue is, once the driver has said it is ready.
    var layout: QueueLayout? {
        guard ready else { return nil }
        return QueueLayout(
            size: size, descriptorTable: GuestAddress(descriptorTable), availableRing: GuestAddress(availableRing),
            usedRing: GuestAddress(usedRing))
    }

    /// A ready queue changes only by becoming unready; an impossible size never becomes ready.
    mutating func write(_ register: Register, _ value: UInt32) {
        if register == .queueReady {
            ready = value & 1 != 0 && size > 0
            return
        }
        if ready { return }
        switch register {
        case .queueNum: size = value <= UInt32(limit) && value.nonzeroBitCount == 1 ? UInt16(value) : 0
        case .queueDescLow: setLow(&descriptorTable, value)
        case .queueDescHigh: setHigh(&descriptorTable, value)
        case .queueDriverLow: setLow(&availableRing, value)
        case .queueDriverHigh: setHigh(&availableRing, value)
        case .queueDeviceLow: setLow(&usedRing, value)
        case .queueDeviceHigh: setHigh(&usedRing, value)
        default: break
        }
    }
}

func setLow(_ field: inout UInt64, _ value: UInt32) { field = field & 0xFFFF_FFFF_0000_0000 | UInt64(value) }

func setHigh(_ field: inout UInt64, _ value: UInt32) { field = field & 0xFFFF_FFFF | UInt64(value) << 32 }
