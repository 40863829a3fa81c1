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

    /// The same, beginning at a multiple of `alignment` (a power of two, at least the page size).
    public init(anonymous count: Int, alignment: Int) throws(SystemError) {
        let whole = try Mapping(anonymous: count + alignment)
        let skipped = Int((UInt(alignment) &- whole.address) & UInt(alignment - 1))
        unsafe base = whole.base.advanced(by: skipped)
        self.count = count
        whole.keep(skipped..<skipped + count)
    }

    /// Unmaps what lies outside of `range` (multiples of the page size) and gives up owning the rest.
    private consuming func keep(_ range: Range<Int>) {
        // SAFETY: both pieces lie inside the mapping that this value owned, and nothing refers to them yet.
        if range.lowerBound > 0 { unsafe munmap(base, range.lowerBound) }
        if range.upperBound < count { unsafe munmap(base.advanced(by: range.upperBound), count - range.upperBound) }
        discard self
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
