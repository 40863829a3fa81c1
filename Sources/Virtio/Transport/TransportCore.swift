// What the transport's mutex guards: the state machine and the device below it.
import AddressSpace
import LinuxSystem

struct TransportCore {
    let device: any VirtioDevice
    private let traits: DeviceTraits
    private let memory: GuestMemory
    private let line: InterruptLine
    private let hostFailed: @Sendable (SystemError) -> Void
    private(set) var state = TransportState.reset
    private var deviceFeaturesSelect: UInt32 = 0
    private var driverFeaturesSelect: UInt32 = 0
    private var queueSelect: UInt32 = 0

    init(
        device: any VirtioDevice, traits: DeviceTraits, memory: GuestMemory, line: InterruptLine,
        hostFailed: @escaping @Sendable (SystemError) -> Void
    ) {
        self.device = device
        self.traits = traits
        self.memory = memory
        self.line = line
        self.hostFailed = hostFailed
    }

    private var offered: UInt64 { traits.features | TransportFeature.all }

    // MARK: Registers

    func read(_ register: Register) -> UInt32 {
        switch register {
        case .status: state.status
        case .deviceFeatures: select(offered, deviceFeaturesSelect)
        case .queueNumMax: traits.queueSizes.indices.contains(Int(queueSelect)) ? UInt32(traits.queueSizes[Int(queueSelect)]) : 0
        case .queueReady: state.queue(queueSelect)?.ready == true ? 1 : 0
        default: 0
        }
    }

    private func select(_ features: UInt64, _ half: UInt32) -> UInt32 {
        switch half {
        case 0: UInt32(truncatingIfNeeded: features)
        case 1: UInt32(truncatingIfNeeded: features >> 32)
        default: 0
        }
    }

    mutating func write(_ register: Register, _ value: UInt32) {
        switch register {
        case .status: writeStatus(value)
        case .deviceFeaturesSelect: deviceFeaturesSelect = value
        case .driverFeaturesSelect: driverFeaturesSelect = value
        case .queueSelect: queueSelect = value
        case .driverFeatures: writeDriverFeatures(value)
        default: writeQueue(register, value)
        }
    }

    private mutating func writeDriverFeatures(_ value: UInt32) {
        guard case .driver(var features) = state else { return }
        switch driverFeaturesSelect {
        case 0: setLow(&features, value)
        case 1: setHigh(&features, value)
        default: break
        }
        state = .driver(features: features)
    }

    /// Queues take shape between FEATURES_OK and DRIVER_OK; at any other time the registers are dead.
    private mutating func writeQueue(_ register: Register, _ value: UInt32) {
        guard case .featuresOk(let features, var queues) = state, queues.indices.contains(Int(queueSelect)) else { return }
        queues[Int(queueSelect)].write(register, value)
        state = .featuresOk(features: features, queues: queues)
    }

    // MARK: Status

    private mutating func writeStatus(_ value: UInt32) {
        if value == 0 {
            reset()
        } else if value & DeviceStatus.failed != 0 {
            fail()
        } else {
            advance(value)
        }
    }

    private mutating func reset() {
        if state.isActive { device.reset() }
        state = .reset
        deviceFeaturesSelect = 0
        driverFeaturesSelect = 0
        queueSelect = 0
        line.acknowledge(.max)
    }

    private mutating func fail() {
        if case .failed = state { return }
        let status = state.status
        if state.isActive { device.reset() }
        state = .failed(status: status)
    }

    /// Takes the steps that the new bits ask for, in their order, as far as they go. A bit whose predecessor is missing does nothing, and none can be taken back.
    private mutating func advance(_ value: UInt32) {
        if case .reset = state, value & DeviceStatus.acknowledge != 0 { state = .acknowledged }
        if case .acknowledged = state, value & DeviceStatus.driver != 0 { state = .driver(features: 0) }
        if case .driver(let features) = state, value & DeviceStatus.featuresOk != 0, acceptable(features) {
            state = .featuresOk(features: features, queues: traits.queueSizes.map(QueueRegisters.init(limit:)))
        }
        if case .featuresOk(let features, let queues) = state, value & DeviceStatus.driverOk != 0 {
            activate(features, queues)
        }
    }

    private func acceptable(_ features: UInt64) -> Bool {
        features & ~offered == 0 && features & TransportFeature.version1 != 0
    }

    private mutating func activate(_ features: UInt64, _ registers: [QueueRegisters]) {
        state = .driverOk(features: features, queues: registers)
        do throws(VirtioError) {
            var queues: [SplitQueue] = []
            for (index, queue) in registers.enumerated() {
                queues.append(
                    try SplitQueue(index: index, layout: queue.layout, features: features, memory: memory, interrupt: line))
            }
            try device.activate(Activation(features: features, memory: memory, queues: queues, interrupt: line))
        } catch { stop(error) }
    }

    // MARK: Device

    /// Enters the device if it is active; its error takes it out of service.
    mutating func enter(_ body: (any VirtioDevice) throws(VirtioError) -> Progress) -> Progress {
        guard state.isActive else { return .idle }
        do throws(VirtioError) {
            return try body(device)
        } catch {
            stop(error)
            return .idle
        }
    }

    private mutating func stop(_ error: VirtioError) {
        device.reset()
        state = .needsReset(error)
        line.configurationChanged()
        if case .host(let error) = error { hostFailed(error) }
    }
}
