// The CPUID table that a vCPU shows (KVM_SET_CPUID2): entries by leaf and subleaf.
import CLinux

/// CPUID leaves as KVM has them.
public struct CPUID: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        /// EAX on input.
        public var leaf: UInt32
        /// ECX on input, where `significantSubleaf`.
        public var subleaf: UInt32
        public var significantSubleaf: Bool
        public var eax: UInt32
        public var ebx: UInt32
        public var ecx: UInt32
        public var edx: UInt32

        public init(leaf: UInt32, subleaf: UInt32 = 0, significantSubleaf: Bool = false) {
            self.leaf = leaf
            self.subleaf = subleaf
            self.significantSubleaf = significantSubleaf
            eax = 0
            ebx = 0
            ecx = 0
            edx = 0
        }
    }

    public var entries: [Entry]

    public init(entries: [Entry]) { self.entries = entries }

    /// Changes each entry of `leaf` in place.
    public mutating func update(_ leaf: UInt32, _ change: (inout Entry) -> Void) {
        for index in entries.indices where entries[index].leaf == leaf { change(&entries[index]) }
    }

    public mutating func removeAll(_ leaf: UInt32) { entries.removeAll { $0.leaf == leaf } }

    public func first(_ leaf: UInt32) -> Entry? { entries.first { $0.leaf == leaf } }

    /// `struct kvm_cpuid2`: a header and a flexible array, which Swift's importer can't see.
    struct Buffer {
        private static let headerSize = 8
        private static let significantIndex: UInt32 = 1  // KVM_CPUID_FLAG_SIGNIFCANT_INDEX
        private var bytes: [UInt64]

        init(capacity: Int) {
            bytes = Array(repeating: 0, count: 1 + capacity * MemoryLayout<kvm_cpuid_entry2>.stride / 8)
            bytes[0] = UInt64(capacity)
        }

        init(_ entries: [Entry]) {
            self.init(capacity: entries.count)
            for (index, entry) in entries.enumerated() {
                var native = kvm_cpuid_entry2()
                native.function = entry.leaf
                native.index = entry.subleaf
                native.flags = entry.significantSubleaf ? Buffer.significantIndex : 0
                native.eax = entry.eax
                native.ebx = entry.ebx
                native.ecx = entry.ecx
                native.edx = entry.edx
                let offset = Buffer.headerSize + index * MemoryLayout<kvm_cpuid_entry2>.stride
                // SAFETY: `capacity` entries fit behind the header.
                unsafe bytes.withUnsafeMutableBytes { unsafe $0.storeBytes(of: native, toByteOffset: offset, as: kvm_cpuid_entry2.self) }
            }
        }

        mutating func fill(_ body: (UnsafeMutableRawPointer) throws(KVMError) -> Void) throws(KVMError) {
            var failure: KVMError?
            // SAFETY: the pointer is to the array's storage and used during the call only; `nent` tells KVM its capacity.
            unsafe bytes.withUnsafeMutableBytes { buffer in
                guard let base = buffer.baseAddress else { return }
                do throws(KVMError) { unsafe try body(base) } catch { failure = error }
            }
            if let failure { throw failure }
        }

        var entries: [Entry] {
            let count = min(Int(UInt32(truncatingIfNeeded: bytes[0])), (bytes.count - 1) * 8 / MemoryLayout<kvm_cpuid_entry2>.stride)
            return (0..<count).map { index in
                let offset = Buffer.headerSize + index * MemoryLayout<kvm_cpuid_entry2>.stride
                // SAFETY: `count` was bounded by the storage.
                let native = unsafe bytes.withUnsafeBytes { unsafe $0.load(fromByteOffset: offset, as: kvm_cpuid_entry2.self) }
                var entry = Entry(
                    leaf: native.function, subleaf: native.index, significantSubleaf: native.flags & Buffer.significantIndex != 0)
                entry.eax = native.eax
                entry.ebx = native.ebx
                entry.ecx = native.ecx
                entry.edx = native.edx
                return entry
            }
        }
    }
}
