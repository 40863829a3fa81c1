// A process's private memory beyond its guest's RAM, from /proc/PID/smaps (proc(5)), sampled while it runs.
import CStopwatch
import Glibc

/// A file's bytes; empty where it can't be read (a process that has ended).
func readWhole(_ path: String) -> [UInt8] {
    let file = unsafe stopwatch_open_read(path)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        // SAFETY: read writes at most the array's count.
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        if count <= 0 { return bytes }
        bytes += buffer[..<count]
    }
}

/// One mapping of smaps.
private struct Region {
    var start: UInt64
    var end: UInt64
    var name: String
    /// In bytes: what only this process has, and what it has with others counted by share.
    var privateBytes: UInt64 = 0
    var proportional: UInt64 = 0
    var resident: UInt64 = 0
}

/// The VMM that `pid`, a `swiftlet run`, has started; `pid` itself where it has no child.
private func machine(of pid: pid_t) -> pid_t {
    let children = String(decoding: readWhole("/proc/\(pid)/task/\(pid)/children"), as: UTF8.self)
    return children.split(separator: " ").first.flatMap { pid_t($0) } ?? pid
}

private func regions(of pid: pid_t) -> [Region] {
    var found: [Region] = []
    for line in String(decoding: readWhole("/proc/\(pid)/smaps"), as: UTF8.self).split(separator: "\n") {
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        guard let key = words.first else { continue }
        if key.last != ":" {
            let range = key.split(separator: "-")
            guard range.count == 2, let start = UInt64(range[0], radix: 16), let end = UInt64(range[1], radix: 16) else { continue }
            found.append(Region(start: start, end: end, name: words.count > 5 ? String(words[5]) : ""))
        } else if !found.isEmpty, words.count > 1, let kilobytes = UInt64(words[1]) {
            switch key {
            case "Private_Clean:", "Private_Dirty:": found[found.count - 1].privateBytes += kilobytes << 10
            case "Pss:": found[found.count - 1].proportional += kilobytes << 10
            case "Rss:": found[found.count - 1].resident += kilobytes << 10
            default: break
            }
        }
    }
    return found
}

/// The mappings that are guest RAM: they follow each other without a gap, and their sizes add up to it. Parts of it may be mapped from the kernel's file.
private func guestRegions(_ all: [Region], size: UInt64) -> Range<Int>? {
    for first in all.indices {
        var last = first
        while last + 1 < all.count, all[last].end == all[last + 1].start, all[last].end - all[first].start < size { last += 1 }
        if all[last].end - all[first].start == size { return first..<last + 1 }
    }
    return nil
}

/// Of a VMM, in bytes, separated by tabs: private outside of guest RAM, proportional outside of guest RAM, resident guest RAM.
func vmmMemory(_ pid: pid_t, guestMemory: Int) -> String {
    let all = regions(of: machine(of: pid))
    guard let guest = guestRegions(all, size: UInt64(guestMemory)) else { fail("no guest RAM of \(guestMemory) bytes in process \(pid)") }
    let own = all[..<guest.lowerBound] + all[guest.upperBound...]
    return "\(own.reduce(0) { $0 + $1.privateBytes })\t\(own.reduce(0) { $0 + $1.proportional })\t\(all[guest].reduce(0) { $0 + $1.resident })"
}

/// One line per sample: nanoseconds since execve, then bytes: private outside of guest RAM, the same counted proportionally, resident of guest RAM. After the samples
/// the last one's mappings, largest first.
func watchMemory(of words: [String], guestMemory: Int) -> String {
    let child = Child(words)
    var lines = ""
    var last: [Region] = []
    while true {
        // The child is ours and not waited for, so its pid stays its own.
        let all = regions(of: machine(of: child.pid))
        if all.isEmpty, regions(of: child.pid).isEmpty { break }
        let time = stopwatch_now() - child.executed
        if let guest = guestRegions(all, size: UInt64(guestMemory)) {
            let own = all[..<guest.lowerBound] + all[guest.upperBound...]
            lines += "sample\t\(time)\t\(own.reduce(0) { $0 + $1.privateBytes })\t\(own.reduce(0) { $0 + $1.proportional })"
            lines += "\t\(all[guest].reduce(0) { $0 + $1.resident })\n"
            last = Array(own)
        } else {
            lines += "sample\t\(time)\t\(all.reduce(0) { $0 + $1.privateBytes })\t\(all.reduce(0) { $0 + $1.proportional })\t0\n"
        }
        usleep(3_000)
    }
    let status = child.wait()
    if status != 0 { fail("\(words.joined(separator: " ")) ended with status \(status)") }
    for region in last.sorted(by: { $0.privateBytes > $1.privateBytes }) where region.privateBytes > 0 {
        lines += "mapping\t\(region.privateBytes)\t\(region.end - region.start)\t\(region.name.isEmpty ? "anonymous" : region.name)\n"
    }
    return lines
}
