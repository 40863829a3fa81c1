// libFuzzer's entry for what `swiftlet-vmm` is told: its configuration, and the maps of disks. What must hold: no trap, nothing reserved on a count's word alone, and what
// was understood is the same after it has been written and read again; runs of a map that was taken lie apart, on the disk and in its files.
@testable import LaunchConfiguration
import Wire

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzConfiguration(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let configuration = try? LaunchConfiguration(wireBytes: bytes) {
        precondition((try? LaunchConfiguration(wireBytes: configuration.wireBytes)) == configuration, "another configuration is read back")
        var (counting, descriptors) = configuration.countingDescriptors
        precondition((try? counting.resolveDescriptors(descriptors)) != nil && counting == configuration, "a descriptor is lost on the way")
        counting = configuration
        try? counting.resolveDescriptors([100, 101])
    }
    if let disk = try? Disk(wireBytes: bytes) { precondition(disk.wireBytes == bytes, "another disk is written") }
    checkDiskMap(bytes)
    // The first bytes are the sizes that a map is held against.
    guard count >= 4 else { return 0 }
    let blocks = UInt32(bytes[0]) << (bytes[1] % 25)
    let fileBlocks = [UInt64(bytes[2]), UInt64(bytes[3]) << 16]
    if let runs = DiskMap.decode(Array(bytes.dropFirst(4)), blocks: blocks, fileBlocks: fileBlocks) {
        precondition(DiskMap.encode(runs) == Array(bytes.dropFirst(4)), "another map is written")
        var end: UInt64 = 0
        for run in runs {
            precondition(UInt64(run.block) >= end && run.count > 0, "runs overlap")
            end = UInt64(run.block) + UInt64(run.count)
            precondition(UInt64(run.fileBlock) + UInt64(run.count) <= fileBlocks[Int(run.file)], "a run leaves its file")
        }
        precondition(end <= UInt64(blocks), "a run leaves the disk")
    }
    return 0
}
