// What the guest may speak of: every file whose name it was told and that it has not forgotten.
import CLinux
import FUSE
import Glibc
import LinuxSystem

/// A file of the host, held by O_PATH: neither renaming nor removing it makes it another one.
final class Node {
    /// The same for all names of a file.
    struct Key: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    let descriptor: OwnedDescriptor
    let key: Key
    /// S_IFMT of its mode.
    let type: UInt32
    let isReadOnly: Bool
    /// How many answers have named it.
    fileprivate(set) var lookups: UInt64 = 0
    /// What the guest calls it.
    fileprivate(set) var number: UInt64 = 0

    init(_ descriptor: consuming OwnedDescriptor, _ status: stat, isReadOnly: Bool) {
        self.descriptor = descriptor
        key = Key(status)
        type = status.st_mode & S_IFMT
        self.isReadOnly = isReadOnly
    }
}

extension Node.Key {
    init(_ status: stat) { self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)) }
}

struct NodeTable {
    /// The directory that holds the trees, by their numbers. It is no file of the host.
    static let top: UInt64 = 1

    /// A number's lower bits are a place in `nodes`; the others have never been used with it before.
    private static let placeBits: UInt64 = 24

    private let limit: Int
    private var nodes: [Node?] = []
    private var freePlaces: [Int] = []
    private var files: [Node.Key: Node] = [:]
    private var generation: UInt64 = 0

    /// `limit`: how many files may be known at once.
    init(limit: Int) { self.limit = min(limit, 1 << Self.placeBits) }

    var count: Int { files.count }

    subscript(_ number: UInt64) -> Node? {
        let place = Int(number % (1 << Self.placeBits))
        guard place < nodes.count, let node = nodes[place], node.number == number else { return nil }
        return node
    }

    /// The number of `node`, or of the one that is this file already; counts one answer.
    mutating func remember(_ node: Node) throws(SystemError) -> UInt64 {
        if let number = remember(node.key) { return number }
        guard files.count < limit else { throw SystemError(call: "lookup", errno: ENFILE) }
        if freePlaces.isEmpty {
            freePlaces.append(nodes.count)
            nodes.append(nil)
        }
        let place = freePlaces.removeLast()
        generation += 1
        node.number = generation << Self.placeBits | UInt64(place)
        node.lookups = 1
        nodes[place] = node
        files[node.key] = node
        return node.number
    }

    func contains(_ key: Node.Key) -> Bool { files[key] != nil }

    /// The same for a file that may be known; nil where it isn't.
    func remember(_ key: Node.Key) -> UInt64? {
        guard let node = files[key] else { return nil }
        node.lookups += 1
        return node.number
    }

    /// The guest has forgotten so many answers that named it.
    mutating func forget(_ number: UInt64, _ lookups: UInt64) {
        guard let node = self[number] else { return }
        node.lookups -= min(lookups, node.lookups)
        guard node.lookups == 0 else { return }
        let place = Int(number % (1 << Self.placeBits))
        nodes[place] = nil
        freePlaces.append(place)
        files[node.key] = nil
    }

    mutating func forgetAll() {
        nodes = []
        freePlaces = []
        files = [:]
    }
}
