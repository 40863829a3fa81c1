// The user namespace of a container, and id-mapped mounts: in the machine, whose own users and groups have the numbers of the host's files.
import AgentProtocol
import OCI

extension BundlePlan {
    private var hasUserNamespace: Bool { specification.namespaces.contains { $0.type == "user" } }

    /// Nil: its users are the machine's.
    var identities: IdentityMap? {
        guard hasUserNamespace else { return nil }
        return IdentityMap(users: specification.userMappings.map(IdentityRange.init), groups: specification.groupMappings.map(IdentityRange.init))
    }

    /// Of a bind mount; nil: as they are. Without mappings of its own an id-mapped one has the container's.
    func identities(of mount: RuntimeSpecification.Mount) -> IdentityMap? {
        if !mount.userMappings.isEmpty {
            return IdentityMap(users: mount.userMappings.map(IdentityRange.init), groups: mount.groupMappings.map(IdentityRange.init))
        }
        return mount.identityOption == nil ? nil : identities
    }

    /// What the guest's kernel would refuse without saying why.
    func checkIdentities() throws(ContainerError) {
        try checkNamespace(specification.userMappings, "linux.uidMappings", of: process.user.user, "user")
        try checkNamespace(specification.groupMappings, "linux.gidMappings", of: process.user.group, "group")
        for (index, mount) in specification.mounts.enumerated() {
            let field = "mounts[\(index)]"
            guard mount.userMappings.isEmpty == mount.groupMappings.isEmpty else {
                throw .bundle(field: field, problem: " has one of uidMappings and gidMappings, and needs both")
            }
            guard !mount.userMappings.isEmpty else {
                guard let option = mount.identityOption, !hasUserNamespace else { continue }
                throw .bundle(field: field + ".options", problem: " \"\(option)\" needs uidMappings and gidMappings, or a user namespace")
            }
            guard mount.isBind else { throw .bundle(field: field + ".uidMappings", problem: " are for bind mounts alone") }
            try check(mount.userMappings, field + ".uidMappings", "user")
            try check(mount.groupMappings, field + ".gidMappings", "group")
        }
    }

    private func checkNamespace(
        _ mappings: [RuntimeSpecification.IdentityMapping], _ field: String, of number: UInt32, _ what: String
    ) throws(ContainerError) {
        guard hasUserNamespace else {
            if mappings.isEmpty { return }
            throw .bundle(field: field, problem: " is there, but linux.namespaces has no user namespace")
        }
        guard !mappings.isEmpty else { throw .bundle(field: field, problem: " is missing, which a user namespace needs") }
        try check(mappings, field, what)
        for needed in [0, number] where !mappings.contains(where: { $0.contains(needed) }) {
            throw .bundle(field: field, problem: " says nothing of \(what) \(needed), which the container needs")
        }
    }

    private func check(_ mappings: [RuntimeSpecification.IdentityMapping], _ field: String, _ what: String) throws(ContainerError) {
        guard mappings.count <= IdentityMap.rangeLimit else {
            throw .bundle(field: field, problem: " has more than \(IdentityMap.rangeLimit) ranges")
        }
        for (index, mapping) in mappings.enumerated() {
            let ends = [mapping.container, mapping.host].map { $0.addingReportingOverflow(mapping.size) }
            guard mapping.size > 0, ends.allSatisfy({ !$0.overflow }) else {
                throw .bundle(field: "\(field)[\(index)].size", problem: " \(mapping.size) leads beyond the last \(what), or nowhere")
            }
        }
    }
}

extension RuntimeSpecification.Mount {
    fileprivate var identityOption: String? { options.first { isBind && ["idmap", "ridmap"].contains($0) } }
}

extension RuntimeSpecification.IdentityMapping {
    fileprivate func contains(_ number: UInt32) -> Bool { number >= container && number - container < size }
}

extension IdentityRange {
    fileprivate init(_ mapping: RuntimeSpecification.IdentityMapping) {
        self.init(inside: mapping.container, outside: mapping.host, count: mapping.size)
    }
}

extension IdentityMap {
    /// A mount's `uid=` or `gid=`, which means the container's.
    func outside(option: String) -> String {
        for (name, number) in [("uid=", user(outside:)), ("gid=", group(outside:))] where option.hasPrefix(name) {
            guard let inside = UInt32(option.dropFirst(name.count)), let outside = number(inside) else { continue }
            return name + String(outside)
        }
        return option
    }
}
