// Kernels, honest and hostile: what loads goes where its headers say, and nothing else moves a byte.
import AddressSpace
import Glibc
import LinuxSystem
import Testing

@testable import Machine

/// A file in memory.
private struct Memfd: ~Copyable {
    let descriptor: OwnedDescriptor
    let range: FileRange

    init(_ bytes: [UInt8]) throws {
        descriptor = try Memfd.filled(bytes)
        range = FileRange(descriptor: descriptor.raw, offset: 0, length: UInt64(bytes.count))
    }

    private static func filled(_ bytes: [UInt8]) throws -> OwnedDescriptor {
        let descriptor = try OwnedDescriptor.memory(named: "kernel")
        try writeAll(descriptor.raw, bytes)
        return descriptor
    }
}

private func put<Value: FixedWidthInteger>(_ value: Value, _ offset: Int, in bytes: inout [UInt8]) {
    for index in 0..<MemoryLayout<Value>.size { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> Value(8 * index)) }
}

/// An ELF executable with one segment: 5000 bytes of 0xAB at 16 MiB, 3000 bytes of zeros behind.
private func elf() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4096 + 5000)
    bytes.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1])
    put(UInt16(2), 16, in: &bytes)
    put(UInt16(62), 18, in: &bytes)
    put(UInt64(0x100_0010), 24, in: &bytes)  // entry
    put(UInt64(64), 32, in: &bytes)  // program headers
    put(UInt16(56), 54, in: &bytes)
    put(UInt16(1), 56, in: &bytes)
    put(UInt32(1), 64, in: &bytes)  // PT_LOAD
    put(UInt64(4096), 72, in: &bytes)  // offset
    put(UInt64(0x100_0000), 88, in: &bytes)  // physical address
    put(UInt64(5000), 96, in: &bytes)
    put(UInt64(8000), 104, in: &bytes)
    for index in 4096..<bytes.count { bytes[index] = 0xAB }
    return bytes
}

@Test func elfSegmentsAreLoadedAndTheirRestIsZero() throws {
    let memory = try GuestMemory(size: 64 << 20)
    let file = try Memfd(elf())
    let kernel = try LoadedKernel(file.range, into: memory)
    #expect(kernel.entry == GuestAddress(0x100_0010))
    #expect(kernel.end == GuestAddress(0x100_0000 + 8000))
    #expect(try memory.read(5000, at: GuestAddress(0x100_0000)) == [UInt8](repeating: 0xAB, count: 5000))
    #expect(try memory.read(3000, at: GuestAddress(0x100_0000 + 5000)) == [UInt8](repeating: 0, count: 3000))
}

@Test func aWriteToAMappedKernelPageStaysPrivate() throws {
    let memory = try GuestMemory(size: 64 << 20)
    let file = try Memfd(elf())
    _ = try LoadedKernel(file.range, into: memory)
    try memory.store(UInt8(1), at: GuestAddress(0x100_0000))
    let again = try GuestMemory(size: 64 << 20)
    _ = try LoadedKernel(file.range, into: again)
    #expect(try again.load(UInt8.self, at: GuestAddress(0x100_0000)) == 0xAB)
}

@Test(arguments: [
    (18, UInt64(3), 2),  // another machine
    (16, UInt64(1), 2),  // a relocatable file
    (24, UInt64(0x200_0000), 8),  // entry outside every segment
    (56, UInt64(0), 2),  // no program headers
    (56, UInt64(65535), 2),  // too many
    (32, UInt64.max - 10, 8),  // a table beyond the file
    (72, UInt64.max - 100, 8),  // a segment's offset that wraps
    (88, UInt64(0x1000), 8),  // a segment over the zero page
    (88, UInt64.max - 4095, 8),  // an address that wraps
    (96, UInt64(1 << 40), 8),  // a file size beyond the file
    (104, UInt64(1 << 40), 8),  // a memory size beyond RAM
    (104, UInt64(10), 8),  // a memory size below the file size
])
func hostileElfHeadersAreRefused(offset: Int, value: UInt64, width: Int) throws {
    var bytes = elf()
    for index in 0..<width { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
    let memory = try GuestMemory(size: 64 << 20)
    let file = try Memfd(bytes)
    #expect(throws: MachineError.self) { try LoadedKernel(file.range, into: memory) }
}

@Test func everyTruncationOfAnElfIsRefused() throws {
    let whole = elf()
    for length in stride(from: 0, to: whole.count, by: 97) {
        let memory = try GuestMemory(size: 64 << 20)
        let file = try Memfd(Array(whole[..<length]))
        #expect(throws: MachineError.self) { try LoadedKernel(file.range, into: memory) }
    }
}

@Test func textIsNoKernel() throws {
    let memory = try GuestMemory(size: 32 << 20)
    let file = try Memfd(Array("#!/bin/sh\n".utf8))
    #expect(throws: MachineError.notAKernel("it has only 10 bytes")) { try LoadedKernel(file.range, into: memory) }
}

/// A bzImage with one setup sector beyond the boot sector and 8 KiB of payload.
private func bzImage() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 1024 + 8192)
    bytes[0x1F1] = 1
    put(UInt16(0xAA55), 0x1FE, in: &bytes)
    bytes[0x201] = 0x6A
    bytes.replaceSubrange(0x202..<0x206, with: Array("HdrS".utf8))
    put(UInt16(0x20F), 0x206, in: &bytes)
    put(UInt16(1), 0x236, in: &bytes)
    put(UInt64(0x100_0000), 0x258, in: &bytes)
    put(UInt32(0x10_0000), 0x260, in: &bytes)
    bytes[1024 + 0x200] = 0xEB
    return bytes
}

@Test func bzImageIsEnteredBehindItsProtectedModeStart() throws {
    let memory = try GuestMemory(size: 64 << 20)
    let file = try Memfd(bzImage())
    let kernel = try LoadedKernel(file.range, into: memory)
    #expect(kernel.entry == GuestAddress(0x100_0200))
    #expect(kernel.end == GuestAddress(0x110_0000))
    #expect(kernel.setupHeader.count == 0x202 + 0x6A - 0x1F1)
    #expect(try memory.load(UInt8.self, at: kernel.entry) == 0xEB)
}

@Test(arguments: [
    (0x206, UInt64(0x203), 2),  // too old for a 64-bit entry
    (0x236, UInt64(0), 2),  // none
    (0x258, UInt64(0x1000), 8),  // over the zero page
    (0x258, UInt64.max - 4095, 8),  // wraps
    (0x260, UInt64(0x7FFF_FFFF), 4),  // larger than RAM
    (0x1F1, UInt64(255), 1),  // more setup sectors than the file has
])
func hostileBzImageHeadersAreRefused(offset: Int, value: UInt64, width: Int) throws {
    var bytes = bzImage()
    for index in 0..<width { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
    let memory = try GuestMemory(size: 64 << 20)
    let file = try Memfd(bytes)
    #expect(throws: MachineError.self) { try LoadedKernel(file.range, into: memory) }
}
