// The guest's RAM, and the only place that turns a guest-physical address into a pointer.
//
// The guest changes its RAM at any moment, so nothing here hands out a view into it: values are copied in and out, each load happens once, and bulk data
// goes to the kernel as `iovec`. Every address is checked where it is used.
public import CLinux
import Glibc
public import LinuxSystem

/// An access that the guest's RAM doesn't cover.
public enum GuestMemoryError: Error, Equatable, CustomStringConvertible {
    case outOfRange(GuestAddress, count: UInt64)

    public var description: String {
        switch self {
        case .outOfRange(let address, let count): "no guest RAM at \(address) for \(count) bytes"
        }
    }
}

/// Guest RAM: one region below the 3 GiB line and, for larger guests, one from 4 GiB on; the gap holds device registers.
public final class GuestMemory: @unchecked Sendable {
    // Sendable: the regions never change after init; the bytes are shared with the guest anyway, and each access says how it orders itself.

    /// Where the low region ends at the latest and the gap for devices begins.
    public static let gapStart: UInt64 = 0xC000_0000
    public static let gapEnd: UInt64 = 0x1_0000_0000

    public struct Region: Sendable {
        public let start: GuestAddress
        /// In bytes.
        public let count: UInt64
        /// The host's virtual address of `start`, for KVM_SET_USER_MEMORY_REGION.
        public let hostAddress: UInt64
    }

    /// Guest and host addresses agree in their lower 21 bits, so that the host's huge pages are huge pages of the guest too: otherwise every 4 KiB page
    /// that the guest touches costs an exit, and a boot touches thousands.
    private static let alignment = 2 << 20

    public let regions: [Region]
    private let mapping: Mapping
    #if DEBUG
        /// Counts accesses, for tests that bound the work of a device.
        public let accesses = AccessCount()
    #endif

    /// Anonymous memory of `size` bytes (a multiple of the page size), charged only when touched.
    public init(size: UInt64) throws(SystemError) {
        mapping = try Mapping(anonymous: Int(size), alignment: GuestMemory.alignment)
        let base = UInt64(mapping.address)
        let low = min(size, GuestMemory.gapStart)
        var regions = [Region(start: GuestAddress(0), count: low, hostAddress: base)]
        if size > low {
            regions.append(Region(start: GuestAddress(GuestMemory.gapEnd), count: size - low, hostAddress: base + low))
        }
        self.regions = regions
    }

    /// All RAM, in bytes.
    public var size: UInt64 { UInt64(mapping.count) }

    /// The host pointer for `count` bytes at `address`, all in one region.
    private func pointer(_ address: GuestAddress, _ count: UInt64) throws(GuestMemoryError) -> UnsafeMutableRawPointer {
        #if DEBUG
            guard accesses.count() else { throw .outOfRange(address, count: count) }
        #endif
        for region in regions where address >= region.start {
            let offset = address.value - region.start.value
            if offset <= region.count, count <= region.count - offset {
                let distance = Int(region.hostAddress - UInt64(mapping.address) + offset)
                // SAFETY: offset + count <= region.count, and the regions tile the mapping.
                return unsafe mapping.base.advanced(by: distance)
            }
        }
        throw .outOfRange(address, count: count)
    }

    /// Whether `count` bytes at `address` are RAM. Says nothing about the next access: that one checks for itself.
    public func contains(_ address: GuestAddress, count: UInt64) -> Bool {
        do {
            _ = unsafe try pointer(address, count)
            return true
        } catch { return false }
    }

    // MARK: Values

    /// Copies a value out: one load, which need not be aligned.
    public func load<Value: BitwiseCopyable>(_ type: Value.Type = Value.self, at address: GuestAddress) throws(GuestMemoryError) -> Value {
        // SAFETY: bounds were checked by `pointer`; BitwiseCopyable has no invalid bit patterns that matter to the types used here.
        let value = unsafe try pointer(address, UInt64(MemoryLayout<Value>.size)).loadUnaligned(as: Value.self)
        clinux_compiler_barrier()
        return value
    }

    /// Copies a value in.
    public func store<Value: BitwiseCopyable>(_ value: Value, at address: GuestAddress) throws(GuestMemoryError) {
        // SAFETY: bounds were checked by `pointer`.
        unsafe try pointer(address, UInt64(MemoryLayout<Value>.size)).storeBytes(of: value, as: Value.self)
    }

    /// An atomic load with acquire ordering; `address` must be even.
    public func loadAcquire16(at address: GuestAddress) throws(GuestMemoryError) -> UInt16 {
        guard address.value.isMultiple(of: 2) else { throw .outOfRange(address, count: 2) }
        // SAFETY: bounds were checked by `pointer`; the mapping is page-aligned, so an even guest address is an even host address.
        return unsafe clinux_load_acquire16(try pointer(address, 2))
    }

    /// An atomic store with release ordering; `address` must be even.
    public func storeRelease16(_ value: UInt16, at address: GuestAddress) throws(GuestMemoryError) {
        guard address.value.isMultiple(of: 2) else { throw .outOfRange(address, count: 2) }
        // SAFETY: as for loadAcquire16.
        unsafe clinux_store_release16(try pointer(address, 2), value)
    }

    // MARK: Bulk data

    /// Copies `bytes` in.
    public func write(_ bytes: [UInt8], at address: GuestAddress) throws(GuestMemoryError) {
        let target = unsafe try pointer(address, UInt64(bytes.count))
        // SAFETY: bounds were checked by `pointer`; the array is no part of guest RAM.
        unsafe bytes.withUnsafeBytes { unsafe target.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(target), byteCount: $0.count) }
    }

    /// Copies `count` bytes out.
    public func read(_ count: Int, at address: GuestAddress) throws(GuestMemoryError) -> [UInt8] {
        let source = unsafe try pointer(address, UInt64(count))
        // SAFETY: bounds were checked by `pointer`; the bytes are copied once.
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            unsafe buffer.baseAddress.map { unsafe UnsafeMutableRawPointer($0).copyMemory(from: source, byteCount: count) }
            initialized = count
        }
    }

    /// Copies out as many bytes as `target` holds.
    public func read(into target: UnsafeMutableRawBufferPointer, at address: GuestAddress) throws(GuestMemoryError) {
        let source = unsafe try pointer(address, UInt64(target.count))
        // SAFETY: bounds were checked by `pointer`; the caller's buffer is no part of guest RAM.
        unsafe target.baseAddress.map { unsafe $0.copyMemory(from: source, byteCount: target.count) }
        clinux_compiler_barrier()
    }

    /// Copies all of `source` in.
    public func write(from source: UnsafeRawBufferPointer, at address: GuestAddress) throws(GuestMemoryError) {
        let target = unsafe try pointer(address, UInt64(source.count))
        // SAFETY: bounds were checked by `pointer`; the caller's buffer is no part of guest RAM.
        unsafe source.baseAddress.map { unsafe target.copyMemory(from: $0, byteCount: source.count) }
    }

    /// Fills `count` bytes with zeros.
    public func zero(_ address: GuestAddress, count: UInt64) throws(GuestMemoryError) {
        let target = unsafe try pointer(address, count)
        // SAFETY: bounds were checked by `pointer`.
        unsafe memset(target, 0, Int(count))
    }

    /// The range as the kernel's readv/writev take it. The pointer must not be dereferenced in this process.
    public func ioVector(_ address: GuestAddress, count: Int) throws(GuestMemoryError) -> iovec {
        unsafe iovec(iov_base: try pointer(address, UInt64(count)), iov_len: count)
    }

    // MARK: Files

    /// Replaces `count` bytes at `address` (both multiples of the page size) by a private, writable mapping of a file: pages are shared with the page cache
    /// until the guest writes to them.
    public func mapFile(_ descriptor: Int32, offset: UInt64, count: UInt64, at address: GuestAddress) throws {
        let target = unsafe try pointer(address, count)
        // SAFETY: MAP_FIXED replaces pages inside our own mapping only: the range was bounds-checked.
        let result = unsafe mmap(
            target, Int(count), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, descriptor, Int(offset))
        guard unsafe result == target else { throw SystemError(call: "mmap", subject: "the kernel's file", errno: clinux_errno()) }
    }

    /// Reads `count` bytes of a file from `offset` to `address` with as many calls as it takes; false if the file ends before.
    public func readFile(_ descriptor: Int32, offset: UInt64, count: UInt64, at address: GuestAddress) throws -> Bool {
        var done: UInt64 = 0
        while done < count {
            let target = unsafe try pointer(GuestAddress(address.value + done), count - done)
            let position = offset + done
            let wanted = Int(count - done)
            // SAFETY: the kernel writes at most `wanted` bytes into a bounds-checked range.
            let got = try systemCall("pread") { unsafe pread(descriptor, target, wanted, off_t(position)) }
            if got == 0 { return false }
            done += UInt64(got)
        }
        return true
    }
}
