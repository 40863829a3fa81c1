// The zero page, `struct boot_params` (Linux documentation, arch/x86/zero-page.rst and boot.rst), and what it points to.
public import AddressSpace

public struct ZeroPage: Sendable {
    private static let entryCountOffset: UInt64 = 0x1E8
    private static let tableOffset: UInt64 = 0x2D0
    private static let headerOffset: UInt64 = 0x1F1

    public var kernel: LoadedKernel
    /// Where the initrd lies and its size in bytes.
    public var initrd: (address: GuestAddress, size: UInt64)?
    /// Without the final NUL.
    public var commandLine: [UInt8]
    /// 32 bytes that seed the guest's random numbers (SETUP_RNG_SEED): the kernel wipes them after use.
    public var seed: [UInt8]

    public init(kernel: LoadedKernel, commandLine: [UInt8], seed: [UInt8]) {
        self.kernel = kernel
        self.commandLine = commandLine
        self.seed = seed
    }

    public func write(to memory: GuestMemory) throws {
        let base = Layout.zeroPage.value
        func put<Value: BitwiseCopyable>(_ value: Value, _ offset: UInt64) throws {
            try memory.store(value, at: GuestAddress(base + offset))
        }
        if kernel.setupHeader.isEmpty {
            try put(UInt16(0xAA55), 0x1FE)
            try put(UInt32(0x5372_6448), 0x202)  // "HdrS"
            try put(UInt16(0x20F), 0x206)
            try put(UInt32(0x100_0000), 0x230)  // kernel_alignment
        } else {
            try memory.write(kernel.setupHeader, at: GuestAddress(base + ZeroPage.headerOffset))
        }
        try put(UInt8(0xFF), 0x210)  // type_of_loader: one without a number of its own

        guard commandLine.count < Layout.commandLineLimit else { throw MachineError.commandLineTooLong(commandLine.count) }
        try memory.write(commandLine + [0], at: Layout.commandLine)
        try put(UInt32(Layout.commandLine.value), 0x228)
        try put(UInt32(commandLine.count), 0x238)

        if let initrd {
            try put(UInt32(truncatingIfNeeded: initrd.address.value), 0x218)
            try put(UInt32(truncatingIfNeeded: initrd.size), 0x21C)
        }

        // struct setup_data: next, type 9 (SETUP_RNG_SEED), length, bytes.
        try memory.store(UInt64(0), at: Layout.setupData)
        try memory.store(UInt32(9), at: GuestAddress(Layout.setupData.value + 8))
        try memory.store(UInt32(seed.count), at: GuestAddress(Layout.setupData.value + 12))
        try memory.write(seed, at: GuestAddress(Layout.setupData.value + 16))
        try put(Layout.setupData.value, 0x250)

        // RAM below the MP table, RAM from 1 MiB on, RAM above the gap.
        var ranges: [(start: UInt64, count: UInt64)] = [
            (0, Layout.multiprocessorTable.value),
            (Layout.highMemory.value, memory.regions[0].count - Layout.highMemory.value),
        ]
        for region in memory.regions.dropFirst() { ranges.append((region.start.value, region.count)) }
        for (index, range) in ranges.enumerated() {
            let offset = ZeroPage.tableOffset + UInt64(index) * 20
            try put(range.start, offset)
            try put(range.count, offset + 8)
            try put(UInt32(1), offset + 16)  // E820_TYPE_RAM
        }
        try put(UInt8(ranges.count), ZeroPage.entryCountOffset)
    }
}
