// Who a container's process is: `USER[:GROUP]` by the container's own passwd(5) and group(5), with Docker's rules.
internal import AgentProtocol
internal import FirstProcess
internal import GuestSystem
internal import Unpacker

struct Identity {
    var user: UInt32 = 0
    var group: UInt32 = 0
    /// Supplementary groups, the primary one among them.
    var groups: [UInt32] = []
    var home: [UInt8] = [0x2F]

    /// `text` as in the image's `User`; empty means root.
    init(resolving text: [UInt8]) throws(Failure) {
        let parts = fields(of: text[...], separatedBy: 0x3A)
        guard parts.count <= 2 else { throw Failure(.configuration, "the user '\(name: text)' is not USER or USER:GROUP") }
        let userName = parts[0]
        let number = userName.isEmpty ? 0 : Identity.number(userName)

        var account: ArraySlice<UInt8> = []
        for entry in Identity.entries(in: "/etc/passwd", fields: 6) {
            guard entry[0].elementsEqual(userName) || number != nil && Identity.number(entry[2]) == number else { continue }
            guard let user = Identity.number(entry[2]), let group = Identity.number(entry[3]) else { continue }
            account = entry[0]
            self.user = user
            self.group = group
            if !entry[5].isEmpty { home = Array(entry[5]) }
            break
        }
        if account.isEmpty {
            guard let number else {
                throw Failure(.configuration, "unable to find user \(name: Array(userName)): no matching entries in passwd file")
            }
            user = number
        }
        try resolveGroups(parts.count > 1 ? parts[1] : [], account)
    }

    /// A group that was asked for replaces all others; otherwise the account has those that list it.
    private mutating func resolveGroups(_ name: ArraySlice<UInt8>, _ account: ArraySlice<UInt8>) throws(Failure) {
        let number = Identity.number(name)
        groups = [group]
        if name.isEmpty && account.isEmpty { return }
        for entry in Identity.entries(in: "/etc/group", fields: 3) {
            guard let found = Identity.number(entry[2]) else { continue }
            if name.isEmpty {
                guard entry.count > 3, !groups.contains(found) else { continue }
                for member in fields(of: entry[3], separatedBy: 0x2C) where member.elementsEqual(account) { groups.append(found) }
            } else if entry[0].elementsEqual(name) || number == found {
                group = found
                groups = [found]
                return
            }
        }
        if name.isEmpty { return }
        guard let number else {
            throw Failure(.configuration, "unable to find group \(name: Array(name)): no matching entries in group file")
        }
        group = number
        groups = [number]
    }

    /// The lines that have at least `count` fields between colons.
    private static func entries(in path: CPath, fields count: Int) -> [[ArraySlice<UInt8>]] {
        guard let text = try? InputOutput.contents(of: path, atMost: 16 << 20) else { return [] }
        var entries: [[ArraySlice<UInt8>]] = []
        for line in fields(of: text[...], separatedBy: 0x0A) where line.first != 0x23 {
            let entry = fields(of: line, separatedBy: 0x3A)
            if entry.count >= count, !entry[0].isEmpty { entries.append(entry) }
        }
        return entries
    }

    /// Decimal digits only.
    private static func number(_ text: ArraySlice<UInt8>) -> UInt32? {
        if text.isEmpty { return nil }
        var value: UInt64 = 0
        for byte in text {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            value = value * 10 + UInt64(byte - 0x30)
            if value >= UInt64(Int32.max) { return nil }
        }
        return UInt32(value)
    }
}
