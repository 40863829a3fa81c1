// The initial RAM disk: at the end of low RAM, as boot.rst recommends.
public import AddressSpace

public enum Initrd {
    /// Reads the file to the highest page-aligned place below the end of low RAM that keeps clear of the kernel.
    public static func load(
        _ file: FileRange, above kernelEnd: GuestAddress, into memory: GuestMemory
    ) throws -> (address: GuestAddress, size: UInt64) {
        let top = memory.regions[0].count
        guard file.length < top, (top - file.length) & ~4095 >= kernelEnd.value else {
            throw MachineError.initrdTooLarge(size: file.length, memory: memory.size)
        }
        let address = GuestAddress((top - file.length) & ~4095)
        guard try memory.readFile(file.descriptor, offset: file.offset, count: file.length, at: address) else {
            throw MachineError.truncatedInitrd
        }
        return (address, file.length)
    }
}
