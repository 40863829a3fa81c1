// One blob on its way into the store.
import Glibc
import LinuxSystem
public import OCI

/// Takes a blob's bytes in order and hashes them as they come. While this value lives nobody else writes the blob.
///
/// Without `finish` the bytes stay, and the next ingest of the same blob goes on behind them.
public final class Ingest {
    public let descriptor: Descriptor
    /// In bytes: what is there, hashed. A download goes on from here.
    public private(set) var received: UInt64 = 0

    /// In bytes. The buffer lies on the stack, and not every thread has a large one.
    private static let chunkLength = 64 << 10

    private let store: ContentStore
    private let file: OwnedDescriptor
    private var hash = ContentHash()

    /// `file` is locked and its offset doesn't matter.
    init(_ descriptor: Descriptor, file: consuming OwnedDescriptor, store: ContentStore) throws(StoreError) {
        self.descriptor = descriptor
        self.file = file
        self.store = store
        do throws(SystemError) {
            // More than there should be is nothing to go on from.
            if try self.file.status().size > descriptor.size { try self.file.truncate(to: 0) }
            try hashWhatIsThere()
        } catch { throw failure(error) }
    }

    private var path: String { ContentStore.partialPath(descriptor.digest) }

    private func failure(_ error: SystemError) -> StoreError { store.failure(error, path) }

    private func hashWhatIsThere() throws(SystemError) {
        // SAFETY: the buffer lives during the closure; what is hashed was filled by the call before.
        let result = unsafe withUnsafeTemporaryAllocation(byteCount: Self.chunkLength, alignment: 16) { buffer -> SystemError? in
            do throws(SystemError) {
                while true {
                    let count = unsafe try readAt(file.raw, offset: received, into: buffer)
                    if count == 0 { return nil }
                    unsafe hash.add(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                    received += UInt64(count)
                }
            } catch { return error }
        }
        if let result { throw result }
    }

    /// Writes what comes next. Throws when it is more than the descriptor says; after an error, `received` says how much was taken.
    public func append(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        guard UInt64(bytes.count) <= descriptor.size - received else { throw .tooLong(descriptor.digest, size: descriptor.size) }
        var rest = unsafe bytes
        do throws(SystemError) {
            while rest.count > 0 {
                let count = unsafe try writeAt(file.raw, offset: received, some: rest)
                // SAFETY: at most `rest.count` bytes were written.
                unsafe hash.add(UnsafeRawBufferPointer(rebasing: rest[..<count]))
                received += UInt64(count)
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        } catch { throw failure(error) }
    }

    public func append(_ bytes: Span<UInt8>) throws(StoreError) {
        var failure: StoreError?
        // SAFETY: the buffer is the span's own storage during the call.
        unsafe bytes.withUnsafeBytes { buffer in
            do throws(StoreError) { unsafe try append(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Writes `length` bytes of an open file from `offset` on; `progress` is told again and again how much of the blob is there.
    func append(contentsOf file: Int32, offset: UInt64, length: UInt64, _ progress: (UInt64) -> Void = { _ in }) throws(StoreError) {
        var position: UInt64 = 0
        while position < length {
            let bytes: [UInt8]
            do throws(SystemError) {
                bytes = try readAt(file, offset: offset + position, count: Int(min(length - position, UInt64(Self.chunkLength))))
            } catch { throw .source(error) }
            if bytes.isEmpty { return }
            try append(bytes.span)
            position += UInt64(bytes.count)
            progress(received)
        }
    }

    /// Begins at 0 again.
    public func restart() throws(StoreError) {
        do throws(SystemError) { try file.truncate(to: 0) } catch { throw failure(error) }
        received = 0
        hash = ContentHash()
    }

    /// Verifies size and digest and puts the blob into its place, where it survives a power failure. A blob with a wrong digest is removed;
    /// one that is too short stays, to be continued. Nothing more may be appended afterwards.
    public func finish() throws(StoreError) {
        guard received == descriptor.size else { throw .incomplete(descriptor.digest, received: received, size: descriptor.size) }
        let found = hash.digest()
        do throws(SystemError) {
            if found == descriptor.digest {
                try file.synchronize()
                try store.publish(descriptor.digest)
            } else {
                try store.discard(descriptor.digest)
            }
        } catch { throw failure(error) }
        // Whoever waits finds the blob, or begins anew.
        file.unlock()
        if found != descriptor.digest { throw .wrongDigest(expected: descriptor.digest, found: found) }
    }
}
