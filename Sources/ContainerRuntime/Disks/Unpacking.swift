// Making an image's disk: the parts that are missing are unpacked in a microVM that does nothing else, and published one by one.
import AgentProtocol
import CLinux
import Glibc
import Images
import LaunchConfiguration
import LinuxSystem
import OCI
import Wire

struct Unpacking {
    /// Of the unpacking VM, in bytes. A zstd layer may want a window of 128 MiB; the rest is page cache.
    private static let memory: UInt64 = 1 << 30

    let image: Image
    let chain: LayerChain
    /// The blob of each layer.
    let blobs: [Digest]
    let store: DiskStore
    let installation: Installation
    /// The cgroup of the unpacking VM is made beside those of containers; nil: it has none.
    let cgroupParent: String?

    init(_ image: Image, store: DiskStore, installation: Installation, cgroupParent: String?) throws(ContainerError) {
        var blobs: [Digest] = []
        for layer in image.layers { blobs.append(try layer.blobDigest()) }
        self.blobs = blobs
        chain = LayerChain(blobs)
        self.image = image
        self.store = store
        self.installation = installation
        self.cgroupParent = cgroupParent
    }

    /// The image's disk, unpacked if that has not been done; nil for an image without layers. After unpacking, other disks make room if all together take more
    /// than `limit` bytes (nil: half of the file system).
    func disk(limit: UInt64?) throws(ContainerError) -> ImageDisk? {
        guard let top = chain.top else { return nil }
        if let disk = try store.find(top) { return disk }
        // A thousand layers are more open files than most limits allow at first; where they can't be raised, a sentence follows.
        try? raiseOpenFileLimit()
        // Every process takes the locks from the lowest part up: none waits for one that waits for it.
        var locks: [ChainLock] = []
        var base: ImageDisk?
        var missing = chain.parts[...]
        while let part = missing.first {
            if let disk = try store.find(part.chain) {
                base = disk
                missing.removeFirst()
                continue
            }
            // What was missing may be there when its lock is free.
            locks.append(try store.lock(part.chain))
            if try store.find(part.chain) == nil { break }
        }
        for part in missing.dropFirst() { locks.append(try store.lock(part.chain)) }
        if !missing.isEmpty { try unpack(Array(missing), onto: base) }
        guard let disk = try store.find(top) else { throw .diskVanished }
        do throws(SystemError) { try store.evict(limit: limit) } catch { throw store.failure(error) }
        withExtendedLifetime(locks) {}
        return disk
    }

    // MARK: The microVM

    /// What the VMM writes.
    private struct Target {
        let part: LayerChain.Part
        let blocks: UnfinishedFile
        /// The runs alone.
        let map: UnfinishedFile
    }

    private func unpack(_ parts: [LayerChain.Part], onto base: ImageDisk?) throws(ContainerError) {
        var targets: [Target] = []
        for part in parts {
            targets.append(Target(part: part, blocks: try store.makeFile(), map: try store.makeFile()))
        }
        guard let first = targets.first else { return }
        let start =
            if let base { StartingDisk(base) } else {
                try StartingDisk(template: installation.diskTemplate, in: first.blocks.file, store: store)
            }
        let status = try run(targets, start)
        var header = ImageDiskHeader(blocks: start.blocks, files: base?.header.files ?? [])
        var files = base?.files ?? []
        for target in targets {
            header = ImageDiskHeader(blocks: header.blocks, files: header.files + [target.blocks.id])
            files.append(target.blocks.file)
            guard try publish(target, header, files) else { break }
        }
        // The VMM has said why.
        if status != 0 { throw .reported }
    }

    private func run(_ targets: [Target], _ start: StartingDisk) throws(ContainerError) -> Int32 {
        var copies = LayerCopies(in: store)
        let layers = try verifiedLayers(of: targets, &copies)
        defer { withExtendedLifetime(copies) {} }
        let kernel = try installation.open("the kernel", installation.kernel)
        let initrd = try installation.open("the initrd", installation.unpackingInitrd)
        let machine: MachineConfiguration
        do throws(SystemError) {
            machine = self.machine(
                kernel: kernel, initrd: initrd,
                disks: [
                    Disk(
                        start.content, access: .copyOnWrite(targets.map { $0.blocks.file.descriptor.raw }, limit: try store.room()), serial: "image",
                        name: Text(store.path)),
                    Disk(.extents(layers.map { Extent($0.range) }), access: .readOnly, serial: "layers", name: "the image's layers"),
                ])
        } catch { throw store.failure(error) }
        let task = UnpackingConfiguration(steps: steps(targets, layers))
        let configuration = LaunchConfiguration(machine: machine, task: .unpacking(task), launched: monotonicNanoseconds())
        let files = [kernel, initrd] + start.openFiles + layers.map(\.range.file) + targets.flatMap { [$0.blocks.file, $0.map.file] }
        let child = try VMMProcess(from: installation, in: cgroupParent.map { Placement(parent: $0, memory: Self.memory, cpus: 1) })
        try child.send(configuration)
        withExtendedLifetime(files) {}
        do throws(SystemError) { return try child.wait() } catch { throw .system(what: "the unpacking VMM cannot be waited for", error) }
    }

    private func verifiedLayers(of targets: [Target], _ copies: inout LayerCopies) throws(ContainerError) -> [VerifiedLayer] {
        var layers: [VerifiedLayer] = []
        for number in targets.flatMap(\.part.layers) {
            layers.append(try VerifiedLayer(image.layers[number], blob: blobs[number], name: name(number), &copies))
        }
        return layers
    }

    private func name(_ layer: Int) -> String {
        "layer \(layer + 1) of \(image.layers.count) (sha256:\(blobs[layer].hexadecimal.prefix(12)))"
    }

    private func machine(kernel: OpenFile, initrd: OpenFile, disks: [Disk]) -> MachineConfiguration {
        MachineConfiguration(
            memory: Self.memory, cpus: 1, kernel: Extent(descriptor: kernel.descriptor.raw, offset: 0, length: kernel.size),
            initrd: Extent(descriptor: initrd.descriptor.raw, offset: 0, length: initrd.size), disks: disks)
    }

    /// A request for each layer; the last one of each part ends the part.
    private func steps(_ targets: [Target], _ layers: [VerifiedLayer]) -> [UnpackingConfiguration.Step] {
        var steps: [UnpackingConfiguration.Step] = []
        var offset: UInt64 = 0
        for target in targets {
            for number in target.part.layers {
                let layer = layers[steps.count]
                let isLast = number + 1 == target.part.layers.upperBound
                let spec = LayerSpec(
                    name: Text(name(number)), device: 1, range: (offset, layer.range.length), compression: LayerCompression(layer.compression),
                    diffID: layer.diffID.bytes, disk: (device: 0, isEmpty: number == 0, isComplete: isLast))
                offset += (layer.range.length + DiskMap.blockSize - 1) / DiskMap.blockSize * DiskMap.blockSize
                steps.append(
                    UnpackingConfiguration.Step(frame: HostMessage.unpackLayer(spec).frame.bytes, map: isLast ? target.map.file.descriptor.raw : nil))
            }
        }
        return steps
    }

    // MARK: The result

    /// Publishes a part whose map the VMM has written; false where it has not. The VMM speaks with a guest that nobody trusts: its word is checked.
    private func publish(_ target: Target, _ header: ImageDiskHeader, _ files: [OpenFile]) throws(ContainerError) -> Bool {
        let runs: [UInt8]
        do throws(SystemError) {
            let length = try target.map.file.descriptor.status().size
            if length == 0 { return false }
            var fileBlocks: [UInt64] = []
            for file in files { fileBlocks.append(try file.descriptor.status().size / DiskMap.blockSize) }
            guard length <= UInt64(DiskMap.runLimit * DiskMap.runLength) else { throw SystemError(call: "", errno: EINVAL) }
            runs = try readAt(target.map.file.descriptor.raw, offset: 0, count: Int(length))
            guard DiskMap.decode(runs, blocks: header.blocks, fileBlocks: fileBlocks) != nil else { throw SystemError(call: "", errno: EINVAL) }
        } catch { throw error.errno == EINVAL ? .damagedDiskMap : store.failure(error) }
        let map = try store.makeFile()
        do throws(SystemError) { try writeAt(map.file.descriptor.raw, offset: 0, ImageDiskMap.encode(header, runs: runs)) } catch {
            throw store.failure(error)
        }
        try target.blocks.publish(as: DiskStore.blocksName(target.blocks.id))
        try map.publish(as: DiskStore.mapName(target.part.chain))
        return true
    }
}

/// What the lowest missing part is unpacked onto.
private struct StartingDisk {
    let content: DiskContent
    let blocks: UInt32
    let openFiles: [OpenFile]

    init(_ base: ImageDisk) {
        content = base.content
        blocks = base.header.blocks
        openFiles = base.openFiles
    }

    /// An empty file system: the template's records become the first blocks of `file`, the first part's.
    init(template path: String, in file: OpenFile, store: DiskStore) throws(ContainerError) {
        let template = try DiskTemplate(path: path)
        let blockSize = Int(DiskMap.blockSize)
        var runs: [DiskRun] = []
        var bytes: [UInt8] = []
        for record in template.records {
            guard record.offset.isMultiple(of: DiskMap.blockSize), record.bytes.count.isMultiple(of: blockSize) else {
                throw .damagedTemplate(path: path)
            }
            runs.append(
                DiskRun(
                    block: UInt32(record.offset / DiskMap.blockSize), count: UInt32(record.bytes.count / blockSize), file: 0,
                    fileBlock: UInt32(bytes.count / blockSize)))
            bytes += record.bytes
        }
        let map: OpenFile
        do throws(SystemError) {
            let memory = try OwnedDescriptor.memory(named: "swiftlet-map")
            try writeAt(memory.raw, offset: 0, DiskMap.encode(runs))
            map = OpenFile(owning: memory)
            try writeAt(file.descriptor.raw, offset: 0, bytes)
        } catch { throw store.failure(error) }
        blocks = UInt32(clamping: template.size / DiskMap.blockSize)
        content = .mapped(
            blocks: blocks, runs: Extent(descriptor: map.descriptor.raw, offset: 0, length: UInt64(runs.count * DiskMap.runLength)), files: [])
        openFiles = [map]
    }
}

extension Extent {
    init(_ range: FileRange) { self.init(descriptor: range.file.descriptor.raw, offset: range.offset, length: range.length) }
}

extension LayerCompression {
    init(_ compression: Compression) {
        self =
            switch compression {
            case .none: .none
            case .gzip: .gzip
            case .zstd: .zstd
            }
    }
}
