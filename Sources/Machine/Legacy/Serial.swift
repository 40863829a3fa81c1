// A 16550A as far as early kernel messages need it: what the guest writes comes out, nothing ever comes in.
// Registers as in the PC16550D data sheet; the divisor latch is kept apart so that setting a speed prints nothing.
public import AddressSpace
import Synchronization

public final class Serial: BusDevice {
    public static let basePort: UInt64 = 0x3F8
    public static let portCount: UInt64 = 8

    private struct Registers: Sendable {
        var interruptEnable: UInt8 = 0
        var lineControl: UInt8 = 0
        var modemControl: UInt8 = 0
        var scratch: UInt8 = 0
        var divisor: UInt16 = 0x0C
    }

    private static let divisorAccess: UInt8 = 0x80
    private let registers = Mutex(Registers())
    private let output: @Sendable (UInt8) -> Void

    /// `output` gets each byte that the guest transmits, on the writing vCPU's thread.
    public init(output: @escaping @Sendable (UInt8) -> Void) { self.output = output }

    public func read(offset: UInt64, size: Int) -> UInt64 {
        guard size == 1 else { return 0xFF }
        return registers.withLock { state in
            let latched = state.lineControl & Serial.divisorAccess != 0
            switch offset {
            case 0: return latched ? UInt64(state.divisor & 0xFF) : 0
            case 1: return latched ? UInt64(state.divisor >> 8) : UInt64(state.interruptEnable)
            case 2: return 0xC1  // FIFOs on, no interrupt pending
            case 3: return UInt64(state.lineControl)
            case 4: return UInt64(state.modemControl)
            case 5: return 0x60  // transmitter empty, nothing received
            case 6: return 0xB0  // carrier, data set ready, clear to send
            default: return UInt64(state.scratch)
            }
        }
    }

    public func write(offset: UInt64, size: Int, value: UInt64) {
        guard size == 1 else { return }
        let byte = UInt8(truncatingIfNeeded: value)
        let transmitted = registers.withLock { state -> Bool in
            let latched = state.lineControl & Serial.divisorAccess != 0
            switch offset {
            case 0 where latched: state.divisor = state.divisor & 0xFF00 | UInt16(byte)
            case 0: return true
            case 1 where latched: state.divisor = state.divisor & 0x00FF | UInt16(byte) << 8
            case 1: state.interruptEnable = byte & 0x0F
            case 3: state.lineControl = byte
            case 4: state.modemControl = byte & 0x1F
            case 7: state.scratch = byte
            default: break
            }
            return false
        }
        if transmitted { output(byte) }
    }
}
