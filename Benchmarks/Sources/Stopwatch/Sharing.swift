// What the second container of an image takes of the host's memory: the same command twice, side by side, and the machine's and both processes' memory before and
// after each.
import CStopwatch
import Glibc

/// A line of /proc/meminfo, in bytes.
private func machineMemory(_ key: String) -> UInt64 {
    for line in String(decoding: readWhole("/proc/meminfo"), as: UTF8.self).split(separator: "\n") {
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        if words.count > 1, words[0] == key + ":", let kilobytes = UInt64(words[1]) { return kilobytes << 10 }
    }
    fail("no \(key) in /proc/meminfo")
}

/// One line for no, one and two containers: how many, then bytes: pages of files (tmpfs left out), free memory, and of the last started VMM: private outside of guest RAM,
/// proportional outside of guest RAM, resident guest RAM. The command is to print something when it has read its files, and then to wait until both have been looked at.
func watchSharing(of words: [String], guestMemory: Int) -> String {
    var lines = ""
    var children: [Child] = []
    dropPages()
    for count in 0...2 {
        if count > 0 {
            let child = Child(words)
            if child.read() == 0 { fail("\(words.joined(separator: " ")) ended without output") }
            children.append(child)
            // Until it idles.
            usleep(300_000)
        }
        lines += "\(count)\t\(machineMemory("Cached") - machineMemory("Shmem"))\t\(machineMemory("MemFree"))"
        lines += "\t" + (children.last.map { vmmMemory($0.pid, guestMemory: guestMemory) } ?? "0\t0\t0") + "\n"
    }
    for child in children {
        let status = child.wait()
        if status != 0 { fail("\(words.joined(separator: " ")) ended with status \(status)") }
    }
    return lines
}
