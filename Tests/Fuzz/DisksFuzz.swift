// Of ConfigurationFuzz.swift: the maps of image disks as they lie in the store, which say what became of a guest's blocks. The same must hold; and a map that isn't
// as it was written is none.
import LaunchConfiguration
import OCI

func checkDiskMap(_ bytes: [UInt8]) {
    if let header = ImageDiskHeader(bytes) {
        precondition(bytes.starts(with: header.bytes) && header.bytes.count <= ImageDiskHeader.lengthLimit, "another header is written")
    }
    precondition(ImageDiskMap.decode(bytes) == nil || bytes.count >= 48, "a map without its digest")
    guard let whole = ImageDiskHeader(bytes) else { return }
    // A fuzzer finds no digest: this one fits.
    let runs = Array(bytes.dropFirst(whole.bytes.count))
    let encoded = ImageDiskMap.encode(whole, runs: runs)
    guard let (header, decoded) = ImageDiskMap.decode(encoded), header == whole, decoded == runs else { fatalError("another map is read back") }
    var damaged = encoded
    damaged[bytes.count / 2] ^= 1
    precondition(ImageDiskMap.decode(damaged).map { $0.header == header && $0.runs == runs } != true, "a damaged map is taken")

    let fileBlocks = header.files.map { $0 & 0xFFFF_FFFF }
    guard let list = DiskMap.decode(runs, blocks: header.blocks, fileBlocks: fileBlocks) else { return }
    precondition(DiskMap.encode(list) == runs, "other runs are written")
    var end: UInt64 = 0
    for run in list {
        precondition(UInt64(run.block) >= end && run.count > 0, "runs overlap")
        end = UInt64(run.block) + UInt64(run.count)
        precondition(UInt64(run.fileBlock) + UInt64(run.count) <= fileBlocks[Int(run.file)], "a run leaves its file")
    }
    precondition(end <= UInt64(header.blocks), "a run leaves the disk")
}
