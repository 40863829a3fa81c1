import Testing

@testable import Confinement

/// As the kernel would run it: the subset of eBPF that device programs are made of.
private func run(_ program: [UInt8], kind: UInt32, access: DeviceRule.Access, _ major: UInt32, _ minor: UInt32) -> UInt64? {
    let context: [UInt32] = [access.rawValue << 16 | kind, major, minor]
    var registers = [UInt64](repeating: 0, count: 11)
    var position = 0
    while position * 8 < program.count {
        let code = Array(program[(position * 8)..<(position * 8 + 8)])
        let target = Int(code[1] & 15)
        let source = Int(code[1] >> 4)
        let offset = Int(Int16(bitPattern: UInt16(code[2]) | UInt16(code[3]) << 8))
        let constant = UInt64(code[4]) | UInt64(code[5]) << 8 | UInt64(code[6]) << 16 | UInt64(code[7]) << 24
        position += 1
        switch code[0] {
        case 0x61: registers[target] = UInt64(context[offset / 4])
        case 0xBF: registers[target] = registers[source]
        case 0xB7: registers[target] = constant
        case 0x57: registers[target] &= constant
        case 0x77: registers[target] >>= constant
        case 0x7F: registers[target] >>= registers[source] & 63
        case 0x25: if registers[target] > constant { position += offset }
        case 0x55: if registers[target] != constant { position += offset }
        case 0x95: return registers[0]
        default: return nil
        }
    }
    return nil
}

@Suite struct DeviceTests {
    private static let block: UInt32 = 1
    private static let character: UInt32 = 2
    private let program = DeviceProgram.compile(DeviceRule.standard)

    @Test(arguments: [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, 0), (136, 77)] as [(UInt32, UInt32)])
    func harmlessDevicesOpen(major: UInt32, minor: UInt32) {
        for access: DeviceRule.Access in [.read, .write, [.read, .write], .make] {
            #expect(run(program, kind: Self.character, access: access, major, minor) == 1)
        }
    }

    /// The disks (virtio-blk, a loop device), /dev/mem, /dev/port, /dev/kmsg, FUSE, vsock, and block devices with the numbers of harmless ones.
    @Test(
        arguments: [(1, 254, 0), (1, 7, 0), (2, 1, 1), (2, 1, 4), (2, 1, 11), (2, 10, 229), (2, 10, 122), (1, 1, 3), (1, 136, 0)]
            as [(UInt32, UInt32, UInt32)])
    func nothingElseOpens(kind: UInt32, major: UInt32, minor: UInt32) {
        for access: DeviceRule.Access in [.read, .write, [.read, .write], [.make, .read]] {
            #expect(run(program, kind: kind, access: access, major, minor) == 0)
        }
        #expect(run(program, kind: kind, access: .make, major, minor) == 1)
    }

    /// Rules that differ in their minor numbers alone are looked up in a set.
    @Test func setsOfMinorNumbersAreExact() {
        let allowed: [UInt32] = [0, 3, 30, 31, 32, 64, 300]
        let rules =
            allowed.map { DeviceRule(allow: true, .character, major: 9, minor: $0, .read) } + [
                DeviceRule(allow: false, .any, major: 9, minor: 3, .all)
            ]
        let program = DeviceProgram.compile(rules)
        for minor: UInt32 in Array(0...600) + [.max, 1 << 31, 1 << 20] {
            let expected: UInt64 = allowed.contains(minor) && minor != 3 ? 1 : 0
            #expect(run(program, kind: Self.character, access: .read, 9, minor) == expected, "\(minor)")
            #expect(run(program, kind: Self.character, access: .write, 9, minor) == 0, "\(minor)")
            #expect(run(program, kind: Self.character, access: .read, 8, minor) == 0, "\(minor)")
        }
    }

    @Test func minorNumberAloneDoesNotMatchEverything() {
        let program = DeviceProgram.compile([DeviceRule(allow: true, .character, major: 1, .all), DeviceRule(allow: false, .any, minor: 3, .all)])
        #expect(run(program, kind: Self.character, access: .read, 1, 3) == 0)
        #expect(run(program, kind: Self.character, access: .read, 1, 4) == 1)
    }

    @Test func theLastRuleThatMatchesDecides() {
        let rules = [
            DeviceRule(allow: true, .any, .all), DeviceRule(allow: false, .block, .write),
            DeviceRule(allow: true, .block, major: 7, [.read, .write]),
        ]
        let program = DeviceProgram.compile(rules)
        #expect(run(program, kind: Self.block, access: .write, 254, 0) == 0)
        #expect(run(program, kind: Self.block, access: .read, 254, 0) == 1)
        #expect(run(program, kind: Self.block, access: .write, 7, 3) == 1)
        #expect(run(program, kind: Self.character, access: .write, 7, 3) == 1)
        #expect(run(DeviceProgram.compile([]), kind: Self.character, access: .read, 1, 3) == 0)
    }
}
