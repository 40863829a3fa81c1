// A compiled seccomp filter: classic BPF over struct seccomp_data (seccomp(2), <linux/filter.h>).

public struct SeccompProgram: Equatable, Sendable {
    /// BPF_MAXINSNS.
    public static let instructionLimit = 4096
    public static let instructionLength = 8

    /// struct sock_filter each: operation (16 bits), two relative jumps (8 bits each), a constant (32 bits); little-endian.
    public let bytes: [UInt8]

    public var instructions: Int { bytes.count / Self.instructionLength }

    public init(bytes: [UInt8]) throws(ConfinementError) {
        guard bytes.count.isMultiple(of: Self.instructionLength) else { throw .damagedProfiles }
        guard bytes.count <= Self.instructionLimit * Self.instructionLength else {
            throw .programTooLong(instructions: bytes.count / Self.instructionLength)
        }
        self.bytes = bytes
    }

    /// An instruction's bytes.
    static func instruction(_ operation: UInt16, _ whenTrue: UInt8, _ whenFalse: UInt8, _ constant: UInt32) -> [UInt8] {
        [UInt8(truncatingIfNeeded: operation), UInt8(operation >> 8), whenTrue, whenFalse]
            + (0..<4).map { UInt8(truncatingIfNeeded: constant >> (8 * $0)) }
    }
}
