// Open files on their way to another process (SCM_RIGHTS, unix(7)).
import CLinux
import Glibc

public enum DescriptorTransfer {
    /// SCM_MAX_FD: what one message takes.
    private static let most = 253

    /// Sends copies over `socket`, a connected Unix stream socket. They arrive whether or not the sender still lives then. Waits where the receiver is slow.
    public static func send(_ descriptors: [Int32], over socket: Int32) throws(SystemError) {
        var sent = 0
        while sent < descriptors.count {
            let part = Array(descriptors[sent..<min(sent + most, descriptors.count)])
            // With each part goes how many are still to come.
            let remaining = UInt32(descriptors.count - sent - part.count)
            try systemCall("sendmsg") {
                // SAFETY: the call reads as many numbers as the array has.
                unsafe part.withUnsafeBufferPointer { unsafe clinux_send_descriptors(socket, remaining, $0.baseAddress, $0.count) }
            }
            sent += part.count
        }
    }

    /// What one call of `send` sent, at most `limit` of them; they are the caller's, and closed on execve(2). Throws ECONNRESET where the sender is gone.
    public static func receive(over socket: Int32, atMost limit: Int) throws(SystemError) -> [Int32] {
        var descriptors: [Int32] = []
        while true {
            var remaining: UInt32 = 0
            var part = [Int32](repeating: -1, count: most)
            let count = try systemCall("recvmsg") {
                // SAFETY: the call writes one number, and as many descriptors as the array has room for.
                unsafe part.withUnsafeMutableBufferPointer { unsafe clinux_receive_descriptors(socket, &remaining, $0.baseAddress, $0.count) }
            }
            descriptors += part.prefix(count)
            guard descriptors.count + Int(remaining) <= limit else { throw SystemError(call: "recvmsg", errno: EMSGSIZE) }
            if remaining == 0 { return descriptors }
        }
    }
}
