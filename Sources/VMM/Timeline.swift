// The boot timeline: when each phase was reached, in nanoseconds of CLOCK_MONOTONIC, and what it cost in VM exits.
public import LinuxSystem
import Synchronization

public final class Timeline: Sendable {
    /// In the order in which a boot reaches them. The guest's own marks have the numbers of the agent's protocol.
    public enum Phase: String, CaseIterable, Sendable {
        case launched
        case vmmStarted = "vmm-started"
        /// The VMM is in its jail and knows what to run: `swiftlet` has found the image, and unpacked it if need be.
        case configured
        /// The guest's memory holds kernel and initrd.
        case memoryMapped = "memory-mapped"
        /// The machine exists, with memory and devices.
        case kvmReady = "kvm-ready"
        case firstInstruction = "first-instruction"
        case initStarted = "init-started"
        case agentConnected = "agent-connected"
        case rootReady = "root-ready"
        case processExecuted = "process-executed"
        case firstOutput = "first-output"
        case processExited = "process-exited"
        case exit

        /// Phase of the byte that the guest writes to the timeline's port; nil for a byte without meaning.
        init?(guestMark: UInt8) {
            switch guestMark {
            case 1: self = .initStarted
            case 2: self = .agentConnected
            case 3: self = .rootReady
            case 4: self = .processExecuted
            case 5: self = .processExited
            default: return nil
            }
        }
    }

    public struct Entry: Equatable, Sendable {
        public let phase: Phase
        public let nanoseconds: UInt64
        /// VM exits of all vCPUs that had come to the VMM by then.
        public let exits: UInt64
    }

    private let entries = Mutex<[Entry]>([])
    private let exits = Atomic<UInt64>(0)

    /// `launched` is when `swiftlet` was executed, the zero of all figures.
    public init(launched: UInt64) {
        mark(.launched, at: launched)
    }

    /// Counts one return of KVM_RUN.
    public func countExit() { exits.wrappingAdd(1, ordering: .relaxed) }

    /// Keeps a phase's first time; a guest that repeats itself changes nothing.
    public func mark(_ phase: Phase, at nanoseconds: UInt64 = monotonicNanoseconds()) {
        let count = exits.load(ordering: .relaxed)
        entries.withLock { entries in
            if entries.contains(where: { $0.phase == phase }) { return }
            entries.append(Entry(phase: phase, nanoseconds: nanoseconds, exits: count))
        }
    }

    public func markGuest(_ byte: UInt8) {
        if let phase = Phase(guestMark: byte) { mark(phase) }
    }

    public var recorded: [Entry] { entries.withLock { $0 } }

    /// One JSON object: `{"unit": "ns", "launched": …, "phases": [{"phase", "at", "since_previous", "vm_exits"}, …]}`. `launched` is of CLOCK_MONOTONIC, all
    /// other times are relative to it.
    public var json: String {
        let all = recorded.sorted { $0.nanoseconds < $1.nanoseconds }
        let zero = all.first?.nanoseconds ?? 0
        var previous = zero
        var lines: [String] = []
        for entry in all {
            lines.append(
                "    {\"phase\": \"\(entry.phase.rawValue)\", \"at\": \(entry.nanoseconds - zero), "
                    + "\"since_previous\": \(entry.nanoseconds - previous), \"vm_exits\": \(entry.exits)}")
            previous = entry.nanoseconds
        }
        return "{\n  \"unit\": \"ns\",\n  \"launched\": \(zero),\n  \"phases\": [\n" + lines.joined(separator: ",\n") + "\n  ]\n}\n"
    }
}
