// The life of a device as its driver leads it (virtio 1.2 §2.1, §3.1).
//
//   reset ──ACKNOWLEDGE──▶ acknowledged ──DRIVER──▶ driver ──FEATURES_OK──▶ featuresOk ──DRIVER_OK──▶ driverOk ──error──▶ needsReset
//     ▲                                        features are chosen        queues are set up          the device works
//     │
//     └──────────────── writing 0 to Status, from everywhere ◀──────────── failed ◀──FAILED── everywhere
//
// Each case owns what exists in that state and nothing else, so that a register written out of turn finds nothing to change.

enum TransportState {
    case reset
    case acknowledged
    case driver(features: UInt64)
    case featuresOk(features: UInt64, queues: [QueueRegisters])
    /// The device has its queues. What the registers said is kept for reading only.
    case driverOk(features: UInt64, queues: [QueueRegisters])
    /// The device or its host gave up; it was reset and waits for the driver to do the same.
    case needsReset(VirtioError)
    /// The driver gave up, with this status.
    case failed(status: UInt32)

    /// The Status register.
    var status: UInt32 {
        switch self {
        case .reset: 0
        case .acknowledged: DeviceStatus.acknowledge
        case .driver: DeviceStatus.acknowledge | DeviceStatus.driver
        case .featuresOk: DeviceStatus.acknowledge | DeviceStatus.driver | DeviceStatus.featuresOk
        case .driverOk: TransportState.live
        case .needsReset: TransportState.live | DeviceStatus.needsReset
        case .failed(let status): status | DeviceStatus.failed
        }
    }

    private static let live = DeviceStatus.acknowledge | DeviceStatus.driver | DeviceStatus.featuresOk | DeviceStatus.driverOk

    /// Whether the device holds queues.
    var isActive: Bool {
        if case .driverOk = self { true } else { false }
    }

    /// The registers of queue `index`, where there are any.
    func queue(_ index: UInt32) -> QueueRegisters? {
        switch self {
        case .featuresOk(_, let queues), .driverOk(_, let queues): queues.indices.contains(Int(index)) ? queues[Int(index)] : nil
        default: nil
        }
    }
}
