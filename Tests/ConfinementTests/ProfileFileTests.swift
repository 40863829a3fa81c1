import OCI
import Testing

@testable import Confinement

private func profile(_ json: String) throws -> SeccompProfile { try SeccompProfile(json: Array(json.utf8), path: "p.json") }

private func sentence(_ json: String) -> String {
    do {
        _ = try profile(json)
        return "no error"
    } catch { return "\(error)" }
}

@Suite struct ProfileFileTests {
    /// Every field that Docker's own profile uses.
    @Test func dockersForm() throws {
        let profile = try profile(
            """
            {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
             "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}, {"architecture": "SCMP_ARCH_AARCH64"}],
             "syscalls": [
               {"names": ["read", "execve"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "x", "includes": {}, "excludes": {}},
               {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
               {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 131072, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
               {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
                "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
               {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
               {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
               {"name": "clone3", "action": "SCMP_ACT_ERRNO", "errnoRet": 95, "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]}
            """)
        #expect(profile.defaultAction == .error(38))
        #expect(profile.coversX86)
        #expect(profile.rules.count == 6)
        #expect(profile.rules[2].arguments == [SeccompArgument(index: 0, .equal, 131_072)])
        #expect(profile.rules[3].arguments == [SeccompArgument(index: 0, .masked(2_114_060_288), 0)])
        let program = try SeccompCompiler.compile(profile, for: .standard)
        let expected: [(number: UInt32, argument: UInt64, answer: UInt32)] = [
            (0, 0, 0x7FFF_0000), (56, 0x11, 0x7FFF_0000), (56, 0x2_0000, 0x5_0026), (435, 0, 0x5_005F), (165, 0, 0x5_0026),
        ]
        for (number, argument, answer) in expected {
            #expect(program.answer(to: SystemCall(architecture: 0xC000_003E, number: number, arguments: [argument])) == answer)
        }
    }

    @Test func comparisonsOfOneArgumentAreAlternatives() throws {
        let profile = try profile(
            """
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_KILL_PROCESS", "args": [
             {"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 40, "op": "SCMP_CMP_GE"}]}]}
            """)
        #expect(!profile.coversX86)
        let program = try SeccompCompiler.compile(profile, for: [])
        for (family, expected) in [(2, 0x7FFF_0000), (16, 0x8000_0000), (41, 0x8000_0000)] as [(UInt64, UInt32)] {
            #expect(program.answer(to: SystemCall(architecture: 0xC000_003E, number: 41, arguments: [family])) == expected)
        }
    }

    @Test(arguments: [
        ("", "not JSON"), ("[]", "the document has the wrong type"), ("{}", "defaultAction is missing"),
        (#"{"defaultAction": "SCMP_ACT_JOKE"}"#, "defaultAction: it is no action"),
        (#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY is not supported"),
        (#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}"#, "listenerPath: "),
        (#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}"#, "syscalls[0].names is missing"),
        (#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"]}]}"#, "syscalls[0].action is missing"),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": -1}]}"#,
            "syscalls[0].errnoRet is no"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_TRAP", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]}"#,
            "syscalls[0].args[0].index is not 0 to 5"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_TRAP", "args": [{"index": 5, "op": "=="}]}]}"#,
            "syscalls[0].args[0].op: "
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_TRAP", "includes": {"caps": ["CAP_X"]}}]}"#,
            "syscalls[0].includes.caps[0]: unknown capability"
        ),
    ])
    func mistakesAreNamed(json: String, problem: String) {
        let text = sentence(json)
        #expect(text.hasPrefix("the seccomp profile p.json is invalid: ") && text.contains(problem), "\(text)")
    }

    @Test func aProfileThatStartsNothingIsRefused() throws {
        let nothing = try profile(#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#)
        #expect(throws: ConfinementError.startsNothing) { try SeccompCompiler.compile(nothing, for: .all) }
        let notEven = try profile(#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_KILL"}]}"#)
        #expect(throws: ConfinementError.startsNothing) { try SeccompCompiler.compile(notEven, for: .all) }
    }

    @Test func systemCallsThatNobodyKnowsAreSkipped() throws {
        let profile = try profile(#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["frobnicate"], "action": "SCMP_ACT_KILL"}]}"#)
        #expect(try SeccompCompiler.compile(profile, for: []).answer(to: SystemCall(architecture: 0xC000_003E, number: 0)) == 0x7FFF_0000)
    }

    @Test func profilesThatNeedTooManyInstructionsAreRefused() throws {
        let rules = (1...1500).map { number in
            let comparison = "{\"index\": \(number % 6), \"value\": \(number << 32 + number), \"op\": \"SCMP_CMP_EQ\"}"
            return "{\"names\": [\"socket\"], \"action\": \"SCMP_ACT_TRAP\", \"args\": [\(comparison)]}"
        }
        let profile = try profile("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [\(rules.joined(separator: ","))]}")
        #expect {
            try SeccompCompiler.compile(profile, for: [])
        } throws: { error in
            if case ConfinementError.programTooLong(let instructions) = error { instructions > 4096 } else { false }
        }
    }
}
