// Register offsets of virtio-mmio version 2 (virtio 1.2 §4.2.2), feature bits of the transport (§6) and bits of the device status (§2.1).

enum Register: UInt64, CaseIterable {
    case magicValue = 0x000
    case version = 0x004
    case deviceID = 0x008
    case vendorID = 0x00C
    case deviceFeatures = 0x010
    case deviceFeaturesSelect = 0x014
    case driverFeatures = 0x020
    case driverFeaturesSelect = 0x024
    case queueSelect = 0x030
    case queueNumMax = 0x034
    case queueNum = 0x038
    case queueReady = 0x044
    case queueNotify = 0x050
    case interruptStatus = 0x060
    case interruptAcknowledge = 0x064
    case status = 0x070
    case queueDescLow = 0x080
    case queueDescHigh = 0x084
    case queueDriverLow = 0x090
    case queueDriverHigh = 0x094
    case queueDeviceLow = 0x0A0
    case queueDeviceHigh = 0x0A4
    case sharedMemorySelect = 0x0AC
    case sharedMemoryLengthLow = 0x0B0
    case sharedMemoryLengthHigh = 0x0B4
    case sharedMemoryBaseLow = 0x0B8
    case sharedMemoryBaseHigh = 0x0BC
    case queueReset = 0x0C0
    case configurationGeneration = 0x0FC
}

enum TransportFeature {
    /// VIRTIO_F_INDIRECT_DESC.
    static let indirectDescriptors: UInt64 = 1 << 28
    /// VIRTIO_F_EVENT_IDX.
    static let eventIndex: UInt64 = 1 << 29
    /// VIRTIO_F_VERSION_1.
    static let version1: UInt64 = 1 << 32

    static let all = indirectDescriptors | eventIndex | version1
}

enum DeviceStatus {
    static let acknowledge: UInt32 = 1
    static let driver: UInt32 = 2
    static let driverOk: UInt32 = 4
    static let featuresOk: UInt32 = 8
    static let needsReset: UInt32 = 64
    static let failed: UInt32 = 128
}
