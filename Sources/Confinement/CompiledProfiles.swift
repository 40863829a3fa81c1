// The default profile's programs as the build leaves them in share/swiftlet, so that a start compiles nothing.
//
//   offset 0   8 bytes  "SWSECCM2"
//   offset 8   u64      the capabilities that are decisive for the profile
//   offset 16  u32      number of programs, at most `programLimit`
//   then for each: u64 the decisive capabilities of the containers it is for, u32 its length in bytes, its instructions
public struct CompiledProfiles: Equatable, Sendable {
    public static let sizeLimit = 1 << 20
    static let programLimit = 16
    private static let magic = Array("SWSECCM2".utf8)

    /// The containers that most people start: nothing asked for, everything dropped.
    public static let variants: [CapabilitySet] = [.standard, []]

    /// Kept here: the profile itself, as data, would take a start 2 ms to build.
    private let decisive: CapabilitySet
    public private(set) var programs: [(capabilities: CapabilitySet, program: SeccompProgram)] = []

    public static func == (left: CompiledProfiles, right: CompiledProfiles) -> Bool { left.bytes == right.bytes }

    /// Compiles them.
    public init() throws(ConfinementError) {
        decisive = SeccompProfile.standard.decisiveCapabilities
        for capabilities in Self.variants {
            programs.append(
                (
                    capabilities.intersection(decisive),
                    try SeccompCompiler.compile(.standard, for: capabilities)
                ))
        }
    }

    public init(bytes: [UInt8]) throws(ConfinementError) {
        var rest = bytes[...]
        guard rest.starts(with: Self.magic) else { throw .damagedProfiles }
        rest = rest.dropFirst(Self.magic.count)
        decisive = CapabilitySet(rawValue: try Self.integer(&rest, 8))
        let count = try Self.integer(&rest, 4)
        guard count <= UInt64(Self.programLimit) else { throw .damagedProfiles }
        for _ in 0..<count {
            let capabilities = CapabilitySet(rawValue: try Self.integer(&rest, 8))
            let length = try Self.integer(&rest, 4)
            guard length <= UInt64(rest.count) else { throw .damagedProfiles }
            programs.append((capabilities, try SeccompProgram(bytes: Array(rest.prefix(Int(length))))))
            rest = rest.dropFirst(Int(length))
        }
        guard rest.isEmpty else { throw .damagedProfiles }
    }

    public var bytes: [UInt8] {
        var bytes = Self.magic + Self.bytes(decisive.rawValue, 8) + Self.bytes(UInt64(programs.count), 4)
        for (capabilities, program) in programs {
            bytes += Self.bytes(capabilities.rawValue, 8) + Self.bytes(UInt64(program.bytes.count), 4) + program.bytes
        }
        return bytes
    }

    /// The default profile for a container with these capabilities; nil where it must be compiled.
    public func program(for capabilities: CapabilitySet) -> SeccompProgram? {
        programs.first { $0.capabilities == capabilities.intersection(decisive) }?.program
    }

    private static func integer(_ bytes: inout ArraySlice<UInt8>, _ count: Int) throws(ConfinementError) -> UInt64 {
        guard bytes.count >= count else { throw .damagedProfiles }
        defer { bytes = bytes.dropFirst(count) }
        return bytes.prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }
}
