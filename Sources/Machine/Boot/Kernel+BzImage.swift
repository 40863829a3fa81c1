// bzImage: a setup header, then a self-extracting kernel that is entered 0x200 bytes into its protected-mode part (boot.rst, "64-bit boot protocol").
import AddressSpace

extension LoadedKernel {
    private static let headerStart = 0x1F1
    private static let headerLimit = 0x290
    private static let entry64: UInt64 = 0x200

    static func loadBzImage(_ file: FileRange, into memory: GuestMemory) throws -> LoadedKernel {
        guard file.length >= 0x1000 else { throw MachineError.notAKernel("it has only \(file.length) bytes") }
        let sector = try file.read(headerLimit, at: 0)
        guard field(sector, 0x1FE, UInt16.self) == 0xAA55, Array(sector[0x202..<0x206]) == Array("HdrS".utf8) else {
            throw MachineError.notAKernel("its first bytes have neither magic number")
        }
        // Version 2.12 brought xloadflags; bit 0 of these says that there is a 64-bit entry.
        guard field(sector, 0x206, UInt16.self) >= 0x20C, field(sector, 0x236, UInt16.self) & 1 != 0 else {
            throw MachineError.notAKernel("it has no 64-bit entry")
        }
        let setupSectors = sector[headerStart] == 0 ? 4 : UInt64(sector[headerStart])
        let start = (setupSectors + 1) * 512
        guard start < file.length else { throw MachineError.truncatedKernel }
        // The decompressor works in place: it needs `init_size` bytes from where the kernel was put.
        let preferred = field(sector, 0x258, UInt64.self)
        let needed = max(UInt64(field(sector, 0x260, UInt32.self)), file.length - start)
        let (end, overflow) = preferred.addingReportingOverflow(needed)
        guard !overflow, preferred >= Layout.highMemory.value, preferred.isMultiple(of: 4096) else {
            throw MachineError.notAKernel("its preferred address makes no sense")
        }
        guard end <= memory.regions[0].count else { throw MachineError.kernelTooLarge(needed: end, memory: memory.size) }
        guard
            try memory.readFile(
                file.descriptor, offset: file.offset + start, count: file.length - start, at: GuestAddress(preferred))
        else { throw MachineError.truncatedKernel }

        // The header's length is the jump's offset at 0x201 behind 0x202.
        let headerEnd = min(headerLimit, 0x202 + Int(sector[0x201]))
        return LoadedKernel(
            entry: GuestAddress(preferred + entry64), end: GuestAddress(end), setupHeader: Array(sector[headerStart..<headerEnd]))
    }
}
