// Names of archive members and where they point within the root file system.

/// A path below the root: no empty, `.` or `..` components. The root itself has none.
struct EntryPath {
    let components: [ArraySlice<UInt8>]
    /// Absolute, for a process whose root is the container's.
    let bytes: [UInt8]

    /// Nil if `path` climbs above the root by `..`. A leading `/` or `./` means the root, as for tar and Docker.
    init?(_ path: [UInt8]) {
        var components: [ArraySlice<UInt8>] = []
        for component in path.split(separator: 0x2F) {
            if component.elementsEqual([0x2E]) { continue }
            if component.elementsEqual([0x2E, 0x2E]) {
                guard !components.isEmpty else { return nil }
                components.removeLast()
                continue
            }
            components.append(component)
        }
        self.init(components)
    }

    private init(_ components: [ArraySlice<UInt8>]) {
        self.components = components
        var bytes: [UInt8] = []
        for component in components { bytes += [0x2F] + component }
        self.bytes = bytes.isEmpty ? [0x2F] : bytes
    }

    var isRoot: Bool { components.isEmpty }
    var name: ArraySlice<UInt8> { components.last ?? [] }
    var parent: EntryPath { EntryPath(Array(components.dropLast())) }

    func sibling(_ name: ArraySlice<UInt8>) -> EntryPath { EntryPath(components.dropLast() + [name]) }
    func child(_ name: [UInt8]) -> EntryPath { EntryPath(components + [name[...]]) }
}
