// Loading a kernel: an ELF vmlinux (System V ABI, AMD64) or a bzImage (Linux documentation, arch/x86/boot.rst), both entered in 64-bit mode.
//
// The file is as hostile as a guest: each header field is checked before it moves a byte, and nothing is written outside guest RAM.
public import AddressSpace
import Glibc
import LinuxSystem

/// A kernel in guest memory.
public struct LoadedKernel: Equatable, Sendable {
    /// Guest-physical address of the first instruction.
    public let entry: GuestAddress
    /// First byte behind everything that the kernel occupies.
    public let end: GuestAddress
    /// The setup header of a bzImage (from 0x1F1), to be copied into the zero page; empty for an ELF file.
    public let setupHeader: [UInt8]
}

/// A range of an open file that holds a kernel or an initrd.
public struct FileRange: Sendable {
    public let descriptor: Int32
    public let offset: UInt64
    public let length: UInt64

    public init(descriptor: Int32, offset: UInt64, length: UInt64) {
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
    }

    /// `count` bytes from `position`; fewer are an error.
    func read(_ count: Int, at position: UInt64) throws -> [UInt8] {
        guard position <= length, UInt64(count) <= length - position else { throw MachineError.truncatedKernel }
        let start = offset + position
        var done = 0
        var bytes = [UInt8](repeating: 0, count: count)
        while done < count {
            let from = done
            // SAFETY: the kernel writes at most count - from bytes behind `from` inside the array.
            let got = try unsafe bytes.withUnsafeMutableBytes { buffer throws(SystemError) in
                try systemCall("pread", on: "the kernel") {
                    unsafe pread(descriptor, buffer.baseAddress?.advanced(by: from), count - from, off_t(start) + off_t(from))
                }
            }
            if got == 0 { throw MachineError.truncatedKernel }
            done += got
        }
        return bytes
    }
}

extension LoadedKernel {
    /// Tells the format by its magic numbers and loads the kernel into `memory`.
    public init(_ file: FileRange, into memory: GuestMemory) throws {
        let magic = try file.length >= 4 ? file.read(4, at: 0) : []
        if magic == [0x7F, 0x45, 0x4C, 0x46] {
            self = try LoadedKernel.loadELF(file, into: memory)
        } else {
            self = try LoadedKernel.loadBzImage(file, into: memory)
        }
    }
}

/// Little-endian fields of a byte array; callers stay inside its bounds.
func field<Value: FixedWidthInteger & UnsignedInteger>(_ bytes: [UInt8], _ offset: Int, _ type: Value.Type = Value.self) -> Value {
    var value: Value = 0
    for index in stride(from: MemoryLayout<Value>.size - 1, through: 0, by: -1) {
        value = MemoryLayout<Value>.size > 1 ? value << 8 | Value(bytes[offset + index]) : Value(bytes[offset + index])
    }
    return value
}
