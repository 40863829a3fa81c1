// The compiled seccomp filters, as swiftlet-filters writes them and the VMM reads them.
import CJail
import CLinux
import Glibc
public import LinuxSystem
public import Wire

/// A filter for each kind of thread, and the names of system calls for reports.
public struct FilterSet: WireCodable, Sendable {
    /// Of this layout; another one is refused.
    static let version: UInt32 = 1
    /// In bytes.
    static let sizeLimit = 1 << 20
    /// BPF_MAXINSNS.
    static let instructionLimit = 4096

    private var programs: [[UInt8]]
    private let muster: Muster
    /// The names of the system calls from 0 on, each with a NUL.
    private let names: [UInt8]

    /// `programs`: BPF instructions of 8 bytes each, in the order of ThreadKind's numbers.
    public init(programs: [[UInt8]], names: [UInt8]) throws(SystemError) {
        muster = try Muster()
        self.programs = programs
        self.names = names
    }

    /// The file that `descriptor` has open, from its offset on.
    public init(reading descriptor: Int32) throws(JailError) {
        do throws(SystemError) {
            let bytes = try readAll(descriptor, limit: Self.sizeLimit)
            guard let set = try? FilterSet(wireBytes: bytes) else { throw SystemError(call: "", errno: EINVAL) }
            self = set
        } catch { throw .filters }
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(Self.version)
        encoder.integer(UInt32(programs.count))
        for program in programs { encoder.byteString(program) }
        encoder.byteString(names)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        guard try decoder.integer(UInt32.self) == Self.version, let muster = try? Muster() else { throw .unknownValue }
        self.muster = muster
        guard try decoder.integer(UInt32.self) == UInt32(ThreadKind.allCases.count) else { throw .unknownValue }
        programs = []
        for _ in ThreadKind.allCases {
            let program = try decoder.byteString(atMost: Self.instructionLimit * MemoryLayout<cjail_instruction>.size)
            guard !program.isEmpty, program.count.isMultiple(of: MemoryLayout<cjail_instruction>.size) else { throw .unknownValue }
            programs.append(program)
        }
        names = try decoder.byteString(atMost: 64 << 10)
    }

    /// The calling thread's system calls are from now on those of `kind`. Needs no_new_privs.
    public func install(_ kind: ThreadKind) throws(JailError) {
        guard Jail.hasWalls else { return }
        let program = programs[Int(kind.rawValue)]
        let count = UInt16(program.count / MemoryLayout<cjail_instruction>.size)
        do throws(SystemError) {
            try systemCall("seccomp") {
                // SAFETY: the kernel copies the instructions during the call; the bytes are whole instructions (checked when they were read), and the kernel checks what
                // they do. The name is a constant of the program.
                unsafe program.withUnsafeBytes { bytes in
                    unsafe cjail_install_filter(
                        bytes.assumingMemoryBound(to: cjail_instruction.self).baseAddress, count,
                        UnsafeRawPointer(kind.name.utf8Start).assumingMemoryBound(to: CChar.self))
                }
            }
        } catch { throw .step("install the filter of its \(kind) threads", error) }
    }

    /// Starts a thread that does `prepare` first, then gets the filter of `kind`, then runs `body`, unless `prepare` was in vain. Without its filter the process ends.
    /// `Jail.lock` waits until each has its filter.
    public func startThread(
        named name: StaticString, _ kind: ThreadKind, preparing prepare: @escaping @Sendable () -> Bool = { true },
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        muster.expect()
        try Thread.start(named: name) {
            let isPrepared = prepare()
            do throws(JailError) { try install(kind) } catch {
                printError("swiftlet: \(error)")
                _exit(Jail.failure)
            }
            muster.arrive()
            if isPrepared { body() }
        }
    }

    /// Returns when every thread that was started has its filter.
    func waitForThreads() throws(SystemError) { try muster.wait() }

    /// A violation ends the process with `Jail.failure` and a sentence on standard error that names thread, system call and address.
    public func reportViolations() {
        // SAFETY: the copy is never freed: the handler reads it at any time.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: names.count, alignment: 1)
        unsafe copy.copyBytes(from: names)
        unsafe cjail_report_violations(copy.assumingMemoryBound(to: CChar.self).baseAddress, names.count, Jail.failure)
    }
}
