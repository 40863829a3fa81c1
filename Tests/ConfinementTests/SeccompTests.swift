// What the compiled filters answer, in the interpreter of SeccompProgram+Evaluate.
import Testing

@testable import Confinement

private let x8664: UInt32 = 0xC000_003E
private let i386: UInt32 = 0x4000_0003
private let allowed: UInt32 = 0x7FFF_0000
private let notPermitted: UInt32 = 0x0005_0001
private let notThere: UInt32 = 0x0005_0026

private func answer(_ program: SeccompProgram, _ number: UInt32, _ arguments: [UInt64] = [], architecture: UInt32 = x8664) -> UInt32? {
    program.answer(to: SystemCall(architecture: architecture, number: number, arguments: arguments))
}

@Suite struct DefaultProfileTests {
    private let program: SeccompProgram

    init() throws { program = try SeccompCompiler.compile(.standard, for: .standard) }

    /// read, openat, execve, clone of a thread, socket of IPv4, ptrace, mknod, fchmodat2, mseal.
    @Test(arguments: [(0, []), (257, []), (59, []), (56, [0x3D0F00]), (41, [2]), (101, []), (133, []), (452, []), (462, [])] as [(UInt32, [UInt64])])
    func whatProgramsNeedIsAllowed(number: UInt32, arguments: [UInt64]) {
        #expect(answer(program, number, arguments) == allowed)
    }

    /// add_key, keyctl, request_key, io_uring_setup, userfaultfd, kexec_load, bpf, perf_event_open, mount, unshare, setns, clone of a user namespace, vsock.
    @Test(
        arguments: [
            (248, []), (250, []), (249, []), (425, []), (323, []), (246, []), (321, []), (298, []), (165, []), (272, []), (308, []),
            (56, [0x1000_0011]),
            (41, [40]), (135, [0x40000]),
        ] as [(UInt32, [UInt64])])
    func whatNoProgramNeedsIsRefused(number: UInt32, arguments: [UInt64]) {
        #expect(answer(program, number, arguments) == notPermitted)
    }

    /// The kernel takes a family from 32 of the argument's bits.
    @Test func everyFamilyButVsock() {
        for family in UInt64(0)..<64 {
            for upper in [0, 1 << 32, UInt64.max << 32] {
                #expect(answer(program, 41, [family | upper]) == (family == 40 ? notPermitted : allowed), "\(family)")
            }
        }
    }

    @Test func argumentsAre64BitsWide() {
        #expect(answer(program, 135, [8 | 1 << 32]) == notPermitted)
        #expect(answer(program, 135, [8]) == allowed)
    }

    /// clone3, whose flags no filter sees; what came after the profile was written; x32's numbers.
    @Test(arguments: [435, 463, 1000, 0x4000_0000, UInt32.max])
    func whatProgramsFallBackFromIsNotThere(number: UInt32) {
        #expect(answer(program, number) == notThere)
    }

    @Test func programsOf32BitsAreUnderTheSameRules() {
        #expect(answer(program, 3, architecture: i386) == allowed)
        #expect(answer(program, 102, [3], architecture: i386) == allowed)
        #expect(answer(program, 21, architecture: i386) == notPermitted)
        #expect(answer(program, 359, [40], architecture: i386) == notPermitted)
        #expect(answer(program, 359, [2], architecture: i386) == allowed)
        #expect(answer(program, 500, architecture: i386) == notThere)
        // Of AArch64.
        #expect(answer(program, 0, architecture: 0xC000_00B7) == 0)
    }

    /// mount, bpf, reboot, init_module, settimeofday, perf_event_open.
    @Test(
        arguments: [
            (165, "SYS_ADMIN"), (321, "SYS_ADMIN"), (321, "BPF"), (169, "SYS_BOOT"), (175, "SYS_MODULE"), (164, "SYS_TIME"), (298, "PERFMON"),
            (435, "SYS_ADMIN"),
            (304, "DAC_READ_SEARCH"), (172, "SYS_RAWIO"), (163, "SYS_PACCT"), (153, "SYS_TTY_CONFIG"), (239, "SYS_NICE"), (103, "SYSLOG"),
            (312, "SYS_PTRACE"),
        ] as [(UInt32, String)])
    func capabilitiesBringTheirCalls(number: UInt32, capability: String) throws {
        #expect(answer(program, number) != allowed)
        let more = try SeccompCompiler.compile(.standard, for: CapabilitySet(adding: [capability], dropping: []))
        #expect(answer(more, number) == allowed)
        let less = try SeccompCompiler.compile(.standard, for: CapabilitySet(adding: [], dropping: ["all"]))
        #expect(answer(less, number) != allowed)
    }

    @Test func chrootGoesWithItsCapability() throws {
        #expect(answer(program, 161) == allowed)
        let less = try SeccompCompiler.compile(.standard, for: [])
        #expect(answer(less, 161) == notPermitted)
    }

    /// The guest's kernel compiles it at every start.
    @Test func itIsShort() { #expect(program.instructions < 300) }

    @Test func whatTheBuildCompilesIsFoundAgain() throws {
        let profiles = try CompiledProfiles()
        let read = try CompiledProfiles(bytes: profiles.bytes)
        #expect(read == profiles)
        #expect(read.program(for: .standard) == program)
        #expect(try read.program(for: []) == SeccompCompiler.compile(.standard, for: []))
        #expect(try read.program(for: CapabilitySet(adding: ["NET_ADMIN"], dropping: ["KILL"])) == program)
        #expect(try read.program(for: CapabilitySet(adding: ["SYS_ADMIN"], dropping: [])) == nil)
        for length in 0..<profiles.bytes.count where length % 97 == 0 {
            #expect(throws: ConfinementError.damagedProfiles) { try CompiledProfiles(bytes: Array(profiles.bytes[..<length])) }
        }
    }
}

@Suite struct CapabilityTests {
    @Test(
        arguments: [
            ([], [], 0xA804_25FB), (["NET_ADMIN"], [], 0xA804_35FB), (["cap_net_admin", "CAP_SYS_ADMIN"], [], 0xA824_35FB),
            ([], ["MKNOD", "CAP_NET_RAW"], 0xA004_05FB),
            ([], ["ALL"], 0), (["CHOWN"], ["all"], 1), (["ALL"], [], 0x1FF_FFFF_FFFF), (["ALL"], ["CHOWN"], 0x1FF_FFFF_FFFE),
            (["MKNOD"], ["MKNOD"], 0xA804_25FB),
        ] as [([String], [String], UInt64)])
    func addedAndDropped(added: [String], dropped: [String], expected: UInt64) throws {
        #expect(try CapabilitySet(adding: added, dropping: dropped).rawValue == expected)
    }

    @Test(arguments: ["CAP_", "", "NET", "CAP_CAP_CHOWN"])
    func unknownNames(name: String) {
        #expect(throws: ConfinementError.unknownCapability(name)) { try CapabilitySet(adding: [name], dropping: []) }
    }
}
