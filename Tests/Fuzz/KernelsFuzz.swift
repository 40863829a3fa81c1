// libFuzzer's entry for kernels and initrds: ELF and bzImage headers that say anything. What must hold: no trap, nothing written outside guest RAM or below the
// kernel, and what is loaded can be entered.
import AddressSpace
import Glibc
import LinuxSystem
import Machine

private let memorySize: UInt64 = 16 << 20

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzKernels(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    guard count > 2 else { return 0 }
    do {
        // Somewhere in a file, at the start of a page or not, and perhaps not all of it.
        let offset = [0, 4096, 512, 1][Int(start[0] & 3)]
        let file = try OwnedDescriptor.memory(named: "kernel")
        try writeAt(file.raw, offset: UInt64(offset), Array(UnsafeBufferPointer(start: start + 2, count: count - 2)))
        let length = UInt64(count - 2) - (start[0] & 4 != 0 ? UInt64(count - 2) / 3 : 0)
        let memory = try GuestMemory(size: memorySize)
        let lowest = GuestAddress(Layout.highMemory.value)
        try memory.write(Array("below".utf8), at: GuestAddress(lowest.value - 5))

        let kernel = try LoadedKernel(FileRange(descriptor: file.raw, offset: UInt64(offset), length: length), into: memory)
        precondition(kernel.entry >= lowest && kernel.entry < kernel.end, "the entry is not in the kernel")
        precondition(kernel.end.value <= memorySize, "the kernel ends outside of RAM")
        let below = try memory.read(5, at: GuestAddress(lowest.value - 5))
        precondition(below == Array("below".utf8), "something below the kernel was written")

        let claimed = UInt64(start[1]) << 16
        let initrd = try Initrd.load(
            FileRange(descriptor: file.raw, offset: 0, length: start[0] & 8 != 0 ? claimed : length), above: kernel.end, into: memory)
        precondition(initrd.address >= kernel.end && initrd.address.value + initrd.size <= memorySize, "the initrd is not where it belongs")

        var page = ZeroPage(kernel: kernel, commandLine: [], seed: [UInt8](repeating: 0, count: 32))
        page.initrd = initrd
        try page.write(to: memory)
        try MultiprocessorTable.write(cpus: 4, to: memory)
        try BootState.writeTables(to: memory)
    } catch {
        precondition(!"\(error)".isEmpty)
    }
    return 0
}
