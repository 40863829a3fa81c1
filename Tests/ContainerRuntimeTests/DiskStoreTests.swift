// The store of disk images: what is found, what is removed, and what never is.
import Foundation
import ImageFixtures
import Images
import LaunchConfiguration
import LinuxSystem
import OCI
import Testing

@testable import ContainerRuntime

private func digest(_ number: UInt8) throws -> Digest { try #require(Digest(bytes: [UInt8](repeating: number, count: 32))) }

@Suite struct LayerChainTests {
    @Test func chainsAreNamedAsTheSpecificationSays() throws {
        let blobs = try [1, 2, 3].map { try digest($0) }
        let chain = LayerChain(blobs)
        #expect(chain.parts.map(\.chain) == ChainID.all(blobs))
        #expect(chain.parts.map(\.layers) == [0..<1, 1..<2, 2..<3])
        // What is below is the same for every image that is built upon it.
        #expect(LayerChain(Array(blobs.prefix(2))).parts[...] == chain.parts.prefix(2))
        #expect(LayerChain([]).top == nil)
    }

    @Test(arguments: [127, 128, 129, 4096]) func thousandsOfLayersShareTheirLastPart(count: Int) throws {
        let blobs = try (0..<count).map { try digest(UInt8(truncatingIfNeeded: $0)) }
        let chain = LayerChain(blobs)
        #expect(chain.parts.count == min(count, LayerChain.partLimit))
        #expect(chain.parts.map(\.layers).flatMap { Array($0) } == Array(0..<count))
        #expect(chain.top == ChainID.whole(blobs))
    }
}

@Suite struct DiskStoreTests {
    private let directory: TemporaryDirectory
    private let store: DiskStore

    init() throws {
        directory = try TemporaryDirectory()
        store = try DiskStore(of: try ContentStore.open(directory.path + "/store"))
    }

    private var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: store.path).sorted()) ?? [] }
    private func path(_ name: String) -> String { store.path + "/" + name }

    /// A disk in files of one block each; the last one is new.
    @discardableResult
    private func make(_ chain: Digest, upon ids: [UInt64] = [], usedBefore seconds: Int = 0) throws -> [UInt64] {
        let blocks = try store.makeFile()
        try blocks.file.descriptor.truncate(to: 4096)
        try blocks.publish(as: DiskStore.blocksName(blocks.id))
        let all = ids + [blocks.id]
        let runs = all.indices.map { DiskRun(block: UInt32($0), count: 1, file: UInt32($0), fileBlock: 0) }
        let bytes = ImageDiskMap.encode(ImageDiskHeader(blocks: 100, files: all), runs: DiskMap.encode(runs))
        try Data(bytes).write(to: URL(fileURLWithPath: path(DiskStore.mapName(chain))))
        let date = Date(timeIntervalSinceNow: -Double(seconds))
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path(DiskStore.mapName(chain)))
        return all
    }

    @Test func aDiskIsFoundByItsChain() throws {
        let ids = try make(digest(2), upon: make(digest(1)))
        let disk = try #require(try store.find(digest(2)))
        #expect(disk.header == ImageDiskHeader(blocks: 100, files: ids))
        #expect(disk.files.map(\.size) == [4096, 4096])
        guard case .mapped(let blocks, let runs, let files) = disk.content else {
            Issue.record("no map")
            return
        }
        #expect(blocks == 100 && runs.offset == 32 && runs.length == 32 && files.count == 2)
        #expect(try store.find(digest(3)) == nil)
    }

    @Test func aDiskWithoutItsBlocksIsNone() throws {
        let ids = try make(digest(1))
        try FileManager.default.removeItem(atPath: path(DiskStore.blocksName(ids[0])))
        #expect(try store.find(digest(1)) == nil)
    }

    @Test(
        arguments: [
            [], Array("SWDISK03".utf8), Array("SWDISK00".utf8) + [UInt8](repeating: 0, count: 8),
            Array("SWDISK03".utf8) + [1, 0, 0, 0, 255, 255, 255, 255],
        ] as [[UInt8]])
    func aMapOfAnotherFormatIsNone(bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path(DiskStore.mapName(try digest(1)))))
        #expect(try store.find(digest(1)) == nil)
        // Nothing can use it: it goes with the next removal.
        _ = try store.remove { _ in false }
        #expect(names == [])
    }

    /// Whatever a file system lost or a hand changed.
    @Test func aDamagedMapIsNone() throws {
        try make(digest(1))
        let path = path(DiskStore.mapName(try digest(1)))
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        for length in bytes.indices {
            try Data(bytes.prefix(length)).write(to: URL(fileURLWithPath: path))
            #expect(try store.find(digest(1)) == nil, "\(length) bytes")
        }
        for index in bytes.indices {
            var other = bytes
            other[index] ^= 0x10
            try Data(other).write(to: URL(fileURLWithPath: path))
            #expect(try store.find(digest(1)) == nil, "byte \(index)")
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        #expect(try store.find(digest(1)) != nil)
    }

    @Test func aDiskWithFewerBlocksThanItsMapSaysIsNone() throws {
        let ids = try make(digest(2), upon: make(digest(1)))
        for id in ids {
            let path = path(DiskStore.blocksName(id))
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            try Data(bytes.dropLast()).write(to: URL(fileURLWithPath: path))
            #expect(try store.find(digest(2)) == nil)
            try bytes.write(to: URL(fileURLWithPath: path))
            #expect(try store.find(digest(2)) != nil)
        }
    }

    @Test func aLinkInTheMapsPlaceIsNotFollowed() throws {
        try make(digest(1))
        try FileManager.default.createSymbolicLink(
            atPath: path(DiskStore.mapName(digest(2))), withDestinationPath: DiskStore.mapName(digest(1)))
        #expect(throws: ContainerError.self) { try store.find(digest(2)) }
    }

    @Test func blocksStayAsLongAsAMapCountsOnThem() throws {
        let base = try make(digest(1))
        let top = try make(digest(2), upon: base)
        #expect(try store.remove { $0 != (try? digest(1)) } == 0)
        #expect(names.count == 3)
        #expect(try store.find(digest(1)) == nil)
        #expect(try store.find(digest(2)) != nil)
        // Unpacked again, the lower part has other blocks.
        let again = try make(digest(1))
        #expect(again != base)
        #expect(try store.find(digest(2))?.header.files == top)
        #expect(try store.remove { _ in false } == 3 * 4096)
        #expect(names == [])
    }

    @Test func whatIsInUseIsNotRemoved() throws {
        try make(digest(1), usedBefore: 100)
        try make(digest(2))
        let used = try store.find(digest(1))
        #expect(try store.remove { _ in false } == 4096)
        #expect(try store.find(digest(1)) != nil)
        withExtendedLifetime(used) {}
    }

    @Test func theOnesThatWereUsedLongestAgoAreEvicted() throws {
        try make(digest(1), usedBefore: 300)
        try make(digest(2), usedBefore: 200)
        try make(digest(3), usedBefore: 100)
        let size = try names.reduce(0) { try $0 + (FileManager.default.attributesOfItem(atPath: path($1))[.size] as? Int ?? 0) }
        try store.evict(limit: UInt64(size))
        #expect(names.count == 6)
        // Looking at it is a use.
        _ = try store.find(digest(1))
        try store.evict(limit: UInt64(size) - 1)
        #expect(try [1, 2, 3].map { try store.find(digest($0)) != nil } == [true, false, true])
        try store.evict(limit: 0)
        #expect(names == [])
    }

    @Test func whatAKilledProcessLeftIsSwept() throws {
        for name in ["unfinished-1", "0000000000000001.blocks", DiskStore.lockName(try digest(1))] {
            try Data(count: 10).write(to: URL(fileURLWithPath: path(name)))
        }
        let mine = try store.makeFile()
        let lock = try store.lock(digest(2))
        #expect(try store.remove { _ in true } == 30)
        #expect(names.count == 2)
        withExtendedLifetime((mine, lock)) {}
    }

    @Test func anUnfinishedFileGoesWithItsOwner() throws {
        do {
            let file = try store.makeFile()
            #expect(names.count == 1)
            _ = consume file
        }
        #expect(names == [])
    }

    @Test func thePartIsLockedForOneAtATime() async throws {
        let chain = try digest(1)
        var lock: ChainLock? = try store.lock(chain)
        let store = store
        async let second = Task.detached { try store.lock(chain) }.value
        try await Task.sleep(for: .milliseconds(50))
        #expect(names == [DiskStore.lockName(chain)])
        _ = lock
        lock = nil
        _ = try await second
    }
}
