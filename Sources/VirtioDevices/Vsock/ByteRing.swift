// Bytes that a socket didn't take yet.
import CLinux
import Glibc
import Virtio

/// A first-in, first-out buffer of bytes: no memory while empty, at most `limit` bytes.
struct ByteRing {
    private var storage: [UInt8] = []
    private var head = 0
    private(set) var count = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Appends `bytes`, for which the caller knows there is room.
    mutating func append(_ bytes: [UInt8]) {
        precondition(bytes.count <= limit - count)
        if bytes.isEmpty { return }
        if count + bytes.count > storage.count { grow(to: count + bytes.count) }
        let tail = (head + count) % storage.count
        let first = min(bytes.count, storage.count - tail)
        storage.replaceSubrange(tail..<tail + first, with: bytes[..<first])
        storage.replaceSubrange(0..<bytes.count - first, with: bytes[first...])
        count += bytes.count
    }

    private mutating func grow(to needed: Int) {
        var capacity = 4096
        while capacity < needed { capacity *= 2 }
        var larger = [UInt8](repeating: 0, count: min(capacity, max(limit, needed)))
        let first = min(count, storage.count - head)
        larger.replaceSubrange(0..<first, with: storage[head..<head + first])
        larger.replaceSubrange(first..<count, with: storage[..<(count - first)])
        storage = larger
        head = 0
    }

    /// Sends what there is to `socket` until it is full; the bytes moved, and what ended it if not emptiness.
    mutating func send(to socket: Int32) -> (moved: Int, obstacle: Transfer?) {
        var moved = 0
        while count > 0 {
            let length = min(count, storage.count - head)
            let start = head
            // SAFETY: `length` bytes from `start` lie inside the array, which outlives the call.
            let result = unsafe storage.withUnsafeBytes { bytes in
                unsafe send(socket, bytes.baseAddress?.advanced(by: start), length)
            }
            if result < 0 {
                let code = clinux_errno()
                if code == EINTR { continue }
                return (moved, code == EAGAIN ? .wouldBlock : .failed(code))
            }
            head = (head + result) % storage.count
            count -= result
            moved += result
        }
        storage = []
        head = 0
        return (moved, nil)
    }

    private func send(_ socket: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        return unsafe Glibc.send(socket, bytes, count, flags)
    }
}
