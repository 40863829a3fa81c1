// ELF: program headers say what goes where. Whole pages of what isn't written are mapped from the file, not copied: start costs nothing, and the page
// cache shares kernel text between machines. Writable segments are copied: the kernel writes to most of their pages while it boots, and a copy on write by
// way of a page fault of the guest costs several times a copy now.
import AddressSpace

extension LoadedKernel {
    private static let headerSize = 64
    private static let programHeaderSize = 56
    private static let loadable: UInt32 = 1  // PT_LOAD
    private static let writable: UInt32 = 2  // PF_W
    private static let pageSize: UInt64 = 4096
    /// Where the kernel's virtual addresses begin (__START_KERNEL_map): older entries are given there.
    private static let kernelMap: UInt64 = 0xFFFF_FFFF_8000_0000

    static func loadELF(_ file: FileRange, into memory: GuestMemory) throws -> LoadedKernel {
        guard file.length >= UInt64(headerSize) else { throw MachineError.truncatedKernel }
        let header = try file.read(headerSize, at: 0)
        // EI_CLASS 2: 64 bits; EI_DATA 1: little-endian; e_machine 62: x86-64; e_type 2: executable.
        guard header[4] == 2, header[5] == 1, field(header, 18, UInt16.self) == 62 else {
            throw MachineError.notAKernel("the ELF file is not for x86-64")
        }
        guard field(header, 16, UInt16.self) == 2 else { throw MachineError.notAKernel("the ELF file is not an executable") }
        let tableOffset = field(header, 32, UInt64.self)
        let count = Int(field(header, 56, UInt16.self))
        guard Int(field(header, 54, UInt16.self)) == programHeaderSize, count > 0, count <= 64 else {
            throw MachineError.notAKernel("its program headers make no sense")
        }
        let table = try file.read(count * programHeaderSize, at: tableOffset)
        var entry = field(header, 24, UInt64.self)
        if entry >= kernelMap { entry -= kernelMap }

        var end = Layout.highMemory
        var entryIsLoaded = false
        for index in 0..<count {
            let base = index * programHeaderSize
            guard field(table, base, UInt32.self) == loadable else { continue }
            let segment = Segment(
                isWritable: field(table, base + 4, UInt32.self) & writable != 0, offset: field(table, base + 8), address: field(table, base + 24),
                fileSize: field(table, base + 32),
                memorySize: field(table, base + 40))
            if segment.memorySize == 0 { continue }
            let segmentEnd = try segment.load(file, into: memory, lowLimit: memory.regions[0].count)
            end = max(end, segmentEnd)
            if entry >= segment.address && entry < segmentEnd.value { entryIsLoaded = true }
        }
        guard entryIsLoaded else { throw MachineError.notAKernel("its entry lies in none of its segments") }
        return LoadedKernel(entry: GuestAddress(entry), end: end, setupHeader: [])
    }

    private struct Segment {
        let isWritable: Bool
        let offset: UInt64
        let address: UInt64
        let fileSize: UInt64
        let memorySize: UInt64

        func load(_ file: FileRange, into memory: GuestMemory, lowLimit: UInt64) throws -> GuestAddress {
            guard fileSize <= memorySize, offset <= file.length, fileSize <= file.length - offset else {
                throw MachineError.truncatedKernel
            }
            let (end, overflow) = address.addingReportingOverflow(memorySize)
            guard !overflow, address >= Layout.highMemory.value else {
                throw MachineError.notAKernel("a segment lies below 1 MiB")
            }
            guard end <= lowLimit else { throw MachineError.kernelTooLarge(needed: end, memory: memory.size) }

            // The last page is copied: what follows the file's bytes there must read as zero.
            let aligned = (file.offset + offset).isMultiple(of: pageSize) && address.isMultiple(of: pageSize)
            let mapped = aligned && !isWritable ? fileSize / pageSize * pageSize : 0
            if mapped > 0 {
                try memory.mapFile(file.descriptor, offset: file.offset + offset, count: mapped, at: GuestAddress(address))
            }
            let rest = fileSize - mapped
            guard
                try memory.readFile(
                    file.descriptor, offset: file.offset + offset + mapped, count: rest, at: GuestAddress(address + mapped))
            else { throw MachineError.truncatedKernel }
            return GuestAddress(end)
        }
    }
}
