// mmap(2) regions with one owner each.
import CLinux
import Glibc

/// A memory mapping that is unmapped when its owner goes away.
@safe public struct Mapping: ~Copyable, @unchecked Sendable {
    // Sendable: the mapping is only an address range; whoever shares its bytes between threads says how at that place.
    public let base: UnsafeMutableRawPointer
    public let count: Int

    /// `base` as a number.
    public var address: UInt { unsafe UInt(bitPattern: base) }

    /// Anonymous, private, zero-filled memory that is charged only when touched.
    public init(anonymous count: Int) throws(SystemError) {
        try self.init(
            count: count, protection: PROT_READ | PROT_WRITE, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, descriptor: -1)
    }

    /// Maps `count` bytes of `descriptor` from `offset` (a multiple of the page size).
    public init(count: Int, protection: Int32, flags: Int32, descriptor: Int32, offset: Int = 0) throws(SystemError) {
        // SAFETY: the kernel chooses the address (no MAP_FIXED), so no other mapping is replaced.
        let address = unsafe mmap(nil, count, protection, flags, descriptor, offset)
        guard let address = unsafe address, UInt(bitPattern: address) != CLINUX_MAP_FAILED else {
            throw SystemError(call: "mmap", subject: "\(count) bytes", errno: clinux_errno())
        }
        unsafe self.base = address
        self.count = count
    }

    deinit {
        // SAFETY: this value owns the range; nobody may hold pointers beyond its life.
        unsafe munmap(base, count)
    }
}
