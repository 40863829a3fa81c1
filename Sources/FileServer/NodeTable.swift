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

    private let limit: Int
    private var nodes: [UInt64: Node] = [:]
    private var numbers: [Node.Key: UInt64] = [:]
    /// Never used twice.
    private var next = top + 1

    /// `limit`: how many files may be known at once.
    init(limit: Int) { self.limit = limit }

    var count: Int { nodes.count }

    subscript(_ number: UInt64) -> Node? { nodes[number] }

    /// The number of `node`, or of the one that is this file already; counts one answer.
    mutating func remember(_ node: Node) throws(SystemError) -> UInt64 {
        if let number = numbers[node.key], let known = nodes[number] {
            known.lookups += 1
            return number
        }
        guard nodes.count < limit else { throw SystemError(call: "lookup", errno: ENFILE) }
        let number = next
        next += 1
        node.lookups = 1
        nodes[number] = node
        numbers[node.key] = number
        return number
    }

    func contains(_ key: Node.Key) -> Bool { numbers[key] != nil }

    /// The same for a file that may be known; nil where it isn't.
    func remember(_ key: Node.Key) -> UInt64? {
        guard let number = numbers[key], let node = nodes[number] else { return nil }
        node.lookups += 1
        return number
    }

    /// The guest has forgotten so many answers that named it.
    mutating func forget(_ number: UInt64, _ lookups: UInt64) {
        guard let node = nodes[number] else { return }
        node.lookups -= min(lookups, node.lookups)
        guard node.lookups == 0 else { return }
        nodes[number] = nil
        numbers[node.key] = nil
    }

    mutating func forgetAll() {
        nodes = [:]
        numbers = [:]
    }
}
