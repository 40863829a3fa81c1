// What makes a device stop until the driver resets it.
public import AddressSpace
public import LinuxSystem

/// A driver that broke the rules of the rings, or a host that could not serve the device. The transport turns it into DEVICE_NEEDS_RESET.
public enum VirtioError: Error, Equatable, CustomStringConvertible {
    /// A ring, table or buffer outside guest RAM.
    case memory(GuestMemoryError)
    /// A ring address that lacks the alignment of §2.7, or whose ring would wrap around the address space.
    case ringAddress(queue: Int, GuestAddress)
    /// The available index ran further ahead than the queue is long.
    case availableIndex(ahead: UInt16, size: UInt16)
    /// A descriptor's index outside its table.
    case descriptorIndex(UInt16, count: Int)
    /// More descriptors than the queue is long, which a loop is, too.
    case chainTooLong(limit: Int)
    /// More bytes than 2^32, §2.7.5.
    case chainTooLarge
    /// Indirect inside indirect, an indirect descriptor that has a successor, or one that was not negotiated, §2.7.5.3.
    case indirectDescriptor
    /// An indirect table whose length is no multiple of 16, zero, or more than the queue's size.
    case indirectTableLength(UInt32)
    /// A device-readable descriptor behind a device-writable one, §2.7.4.2.
    case descriptorOrder
    /// A request that lacks what its device's section demands.
    case malformedRequest(String)
    /// The host failed the device itself, not a single request.
    case host(SystemError)

    public var description: String {
        switch self {
        case .memory(let error): error.description
        case .ringAddress(let queue, let address): "queue \(queue) has a ring at \(address), misaligned or too high"
        case .availableIndex(let ahead, let size): "the available index is \(ahead) ahead in a queue of \(size)"
        case .descriptorIndex(let index, let count): "descriptor \(index) in a table of \(count)"
        case .chainTooLong(let limit): "a descriptor chain longer than \(limit), or a loop"
        case .chainTooLarge: "a descriptor chain of more than 4 GiB"
        case .indirectDescriptor: "an indirect descriptor where none may be"
        case .indirectTableLength(let length): "an indirect descriptor table of \(length) bytes"
        case .descriptorOrder: "a readable descriptor behind a writable one"
        case .malformedRequest(let what): what
        case .host(let error): error.description
        }
    }
}

/// Runs `body`, an access to guest RAM, and gives its failure this module's type.
@inline(__always)
func accessing<Result>(_ body: () throws(GuestMemoryError) -> Result) throws(VirtioError) -> Result {
    do throws(GuestMemoryError) {
        return try body()
    } catch { throw .memory(error) }
}
