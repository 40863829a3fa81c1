// Disks of the launch configuration as block devices, and back: the map of a disk that was written to.
import LaunchConfiguration
import LinuxSystem
import VirtioDevices
import Wire

extension Block {
    convenience init(_ disk: Disk, throttle: Throttle?) throws {
        let name = disk.name.string
        switch (disk.content, disk.access) {
        case (.extents(let extents), .readOnly), (.extents(let extents), .ephemeral):
            let backend = try BlockBackend.concatenation(
                of: extents.map { (descriptor: $0.descriptor, offset: $0.offset, length: $0.length) }, name: name,
                access: disk.access == .readOnly ? .readOnly : .ephemeral)
            try self.init(backend, serial: disk.serial.string, throttle: throttle)
        case (.mapped, .readOnly):
            try self.init(try BlockBackend(mapped: disk), serial: disk.serial.string, throttle: throttle)
        case (.mapped, .copyOnWrite(let changes, let limit)):
            guard let first = changes.first else { throw VirtioDevicesError.damagedMap(name: name) }
            let copy = try CopyOnWrite(content: try BlockBackend(mapped: disk), files: changes, started: try FileStatus(of: first).size, limit: limit)
            try self.init(copy, serial: disk.serial.string, throttle: throttle)
        case (.mapped, .ephemeral), (.extents, .copyOnWrite): throw VirtioDevicesError.writableDisk(name: name)
        }
    }
}

extension BlockBackend {
    /// A disk as its map describes it, read-only.
    fileprivate init(mapped disk: Disk) throws {
        guard case .mapped(let blocks, let map, _) = disk.content, map.length <= UInt64(DiskMap.runLimit * DiskMap.runLength) else {
            throw VirtioDevicesError.damagedMap(name: disk.name.string)
        }
        let files = disk.mappedFiles
        var fileBlocks: [UInt64] = []
        for file in files { fileBlocks.append(try FileStatus(of: file).size / DiskMap.blockSize) }
        let bytes = try readAt(map.descriptor, offset: map.offset, count: Int(map.length))
        guard bytes.count == Int(map.length), let runs = DiskMap.decode(bytes, blocks: blocks, fileBlocks: fileBlocks) else {
            throw VirtioDevicesError.damagedMap(name: disk.name.string)
        }
        let extents = runs.map { run in
            BlockExtent(
                position: UInt64(run.block) * DiskMap.blockSize, descriptor: files[Int(run.file)], offset: UInt64(run.fileBlock) * DiskMap.blockSize,
                length: UInt64(run.count) * DiskMap.blockSize)
        }
        try self.init(extents: extents, size: UInt64(blocks) * DiskMap.blockSize, name: disk.name.string, access: .readOnly)
    }
}

extension Disk {
    /// The files that a run's `file` counts: the content's, then those for changes.
    fileprivate var mappedFiles: [Int32] {
        guard case .mapped(_, _, var files) = content else { return [] }
        if case .copyOnWrite(let changes, _) = access { files += changes }
        return files
    }

    /// Extents on this disk as runs. Nil where one of them is in no file of the disk.
    func runs(_ extents: [BlockExtent]) -> [DiskRun]? {
        let files = mappedFiles
        var runs: [DiskRun] = []
        for extent in extents {
            guard let file = files.firstIndex(of: extent.descriptor) else { return nil }
            runs.append(
                DiskRun(
                    block: UInt32(extent.position / DiskMap.blockSize), count: UInt32(extent.length / DiskMap.blockSize), file: UInt32(file),
                    fileBlock: UInt32(extent.offset / DiskMap.blockSize)))
        }
        return runs
    }
}
