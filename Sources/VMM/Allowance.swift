// What a running machine may use of the host: what it was configured with, and little else.
import Jail
import LaunchConfiguration
import LinuxSystem

extension Jail.Allowance {
    /// For the connections of a guest, which are there from the start, and some that a test of a device or a debugger may need.
    private static let spareDescriptors: UInt64 = 64
    /// Stacks, and what the devices, the agent's messages and the container's streams keep in memory, in bytes.
    private static let ownMemory: UInt64 = 128 << 20

    /// `connections`: sockets that it may get later. `outputs`: where the process writes to besides disks. One that is a file grows as the caller's own limit lets it.
    init(for machine: MachineConfiguration, outputs: [Int32], connections: UInt64) throws(SystemError) {
        let next = try OwnedDescriptor.duplicate(of: 0)
        let highest = max(machine.descriptors.max() ?? 0, next.raw)
        var fileSize: UInt64? = 0
        for disk in machine.disks { fileSize = max(fileSize ?? 0, try disk.largestFile()) }
        for output in outputs where try FileStatus(of: output).kind == .regular { fileSize = nil }
        // What the guest opens grows as the caller's own limit lets it, too.
        if machine.files != nil { fileSize = nil }
        let opened = machine.files == nil ? 0 : DeviceSet.openFileLimit
        self.init(
            descriptors: UInt64(highest) + Self.spareDescriptors + connections + UInt64(opened), memory: machine.memory + Self.ownMemory,
            fileSize: fileSize)
    }
}

extension Disk {
    /// What none of the files that the guest writes to grows beyond, in bytes.
    fileprivate func largestFile() throws(SystemError) -> UInt64 {
        switch (access, content) {
        case (.readOnly, _): return 0
        case (.ephemeral, .extents(let extents)): return extents.map { $0.offset.addingReportingOverflow($0.length).partialValue }.max() ?? 0
        case (.ephemeral, .mapped): return 0
        case (.copyOnWrite(let files, let limit), _):
            var size = UInt64(DiskMap.runLimit * DiskMap.runLength)
            for file in files { size = max(size, try FileStatus(of: file).size.addingReportingOverflow(limit).partialValue) }
            return size
        }
    }
}
