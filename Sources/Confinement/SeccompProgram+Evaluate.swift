// What a program answers to a system call: classic BPF as far as seccomp filters use it (Linux: kernel/seccomp.c, seccomp_check_filter).

/// A system call as a filter sees it (struct seccomp_data), without the instruction pointer.
struct SystemCall {
    var architecture: UInt32
    var number: UInt32
    /// Nil: any. Fewer than six: the rest is 0.
    var arguments: [UInt64]?

    /// The 32-bit word at `offset`; nil where it can be anything.
    fileprivate func word(at offset: UInt32) -> UInt32? {
        switch offset {
        case 0: return number
        case 4: return architecture
        case 16..<64:
            guard let arguments else { return nil }
            let index = Int(offset - 16) / 8
            let argument = index < arguments.count ? arguments[index] : 0
            return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
        default: return nil
        }
    }
}

extension SeccompProgram {
    enum Operation {
        static let load: UInt16 = 0x20, and: UInt16 = 0x54, answer: UInt16 = 0x06
        static let jump: UInt16 = 0x05, jumpIfEqual: UInt16 = 0x15, jumpIfGreater: UInt16 = 0x25, jumpIfNotLess: UInt16 = 0x35
        static let jumpIfAny: UInt16 = 0x45
    }

    /// SECCOMP_RET_ and its data; nil where the answer depends on what isn't known, or the program does what filters don't.
    func answer(to call: SystemCall) -> UInt32? {
        var position = 0
        var accumulator: UInt32?
        // Jumps lead forward alone: the program ends.
        while position < instructions {
            let start = position * Self.instructionLength
            let operation = UInt16(bytes[start]) | UInt16(bytes[start + 1]) << 8
            let constant = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + 4 + $1]) << (8 * UInt32($1)) }
            position += 1
            let holds: Bool
            switch operation {
            case Operation.load:
                accumulator = call.word(at: constant)
                continue
            case Operation.and:
                accumulator = accumulator.map { $0 & constant }
                continue
            case Operation.answer: return constant
            case Operation.jump:
                position += Int(constant)
                continue
            case Operation.jumpIfEqual:
                guard let accumulator else { return nil }
                holds = accumulator == constant
            case Operation.jumpIfGreater:
                guard let accumulator else { return nil }
                holds = accumulator > constant
            case Operation.jumpIfNotLess:
                guard let accumulator else { return nil }
                holds = accumulator >= constant
            case Operation.jumpIfAny:
                guard let accumulator else { return nil }
                holds = accumulator & constant != 0
            default: return nil
            }
            position += Int(bytes[start + (holds ? 2 : 3)])
        }
        return nil
    }
}
