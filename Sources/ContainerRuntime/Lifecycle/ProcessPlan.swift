// From an engine's `process` to what the agent is told. Pure.
import AgentProtocol
import Confinement
import OCI
import Wire

extension RuntimeSpecification.Process {
    /// `filter`: a compiled seccomp profile; empty: none.
    func spec(_ streams: ProcessStreams, filter: [UInt8]) throws(ContainerError) -> ProcessSpec {
        var spec = ProcessSpec(
            container: LaunchPlan.container, process: LaunchPlan.firstProcess, arguments: arguments.map { Text($0) },
            environment: Self.unique(environment).map { Text($0) }, workingDirectory: Text(workingDirectory), streams: streams)
        spec.user = Text("\(user.user):\(user.group)")
        var groups: [UInt32] = []
        for group in user.additionalGroups where group != user.group && !groups.contains(group) { groups.append(group) }
        spec.additionalGroups = groups
        spec.umask = user.umask ?? 0o022
        spec.outOfMemoryAdjustment = outOfMemoryAdjustment
        spec.limits = try limits.map { (limit) throws(ContainerError) in
            let name = limit.type.hasPrefix("RLIMIT_") ? limit.type.dropFirst(7).lowercased() : ""
            guard let number = Quantities.limitNames.firstIndex(of: name) else {
                throw .bundle(field: "process.rlimits", problem: " has the type \"\(limit.type)\", which is no limit")
            }
            return ResourceLimit(resource: UInt32(number), soft: limit.soft, hard: limit.hard)
        }
        spec.capabilities = capabilities.rawValue
        spec.capabilitySets = CapabilitySets(
            effective: Self.capabilities(effective).rawValue, permitted: Self.capabilities(permitted).rawValue,
            inheritable: Self.capabilities(inheritable).rawValue, ambient: Self.capabilities(ambient).rawValue)
        spec.noNewPrivileges = noNewPrivileges
        spec.filter = filter
        return spec
    }

    /// Of a name given twice the last one counts, as with runc.
    private static func unique(_ variables: [String]) -> [String] {
        var (found, kept): (Set<Substring>, [String]) = ([], [])
        for variable in variables.reversed() where found.insert(variable.prefix { $0 != "=" }).inserted { kept.append(variable) }
        return kept.reversed()
    }

    var windowSize: WindowSize { consoleSize.map { WindowSize(rows: $0.rows, columns: $0.columns) } ?? WindowSize(rows: 0, columns: 0) }

    /// The bounding set.
    var capabilities: CapabilitySet { Self.capabilities(bounding ?? []) }

    /// A name that this version doesn't know is one that the guest's kernel doesn't have either.
    private static func capabilities(_ names: [String]) -> CapabilitySet {
        names.reduce(into: []) { set, name in set.formUnion(CapabilitySet(name: name) ?? []) }
    }

    /// No path, argument or variable holds a NUL, which JSON can.
    func checkTexts() throws(ContainerError) {
        for (field, texts) in [("args", arguments), ("env", environment), ("cwd", [workingDirectory])]
        where texts.contains(where: { $0.utf8.contains(0) }) {
            throw .bundle(field: "process." + field, problem: " holds a NUL character")
        }
    }
}
