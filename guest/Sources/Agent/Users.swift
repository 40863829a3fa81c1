// Who a container's process is: `USER[:GROUP]` by the container's own passwd(5) and group(5), with Docker's rules.
internal import AgentProtocol
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
        let parts = text.split(separator: 0x3A, maxSplits: 1, omittingEmptySubsequences: false)
        let userName = parts.isEmpty ? [] : Array(parts[0])
        let groupName = parts.count > 1 ? Array(parts[1]) : []
        let userNumber = userName.isEmpty ? 0 : Identity.number(userName[...])

        var accountName: [UInt8] = []
        let account = Identity.line(in: "/etc/passwd", fields: 7) { fields in
            userName.elementsEqual(fields[0]) && !userName.isEmpty || userNumber != nil && Identity.number(fields[2]) == userNumber
        }
        if let account, let user = Identity.number(account[2]), let group = Identity.number(account[3]) {
            accountName = Array(account[0])
            self.user = user
            self.group = group
            if !account[5].isEmpty { home = Array(account[5]) }
        } else {
            guard let userNumber else {
                throw Failure(.configuration, "unable to find user \(name: userName): no matching entries in passwd file")
            }
            user = userNumber
        }
        try resolveGroups(groupName, accountName)
    }

    /// A group that was asked for replaces all others; otherwise the account has those that list it.
    private mutating func resolveGroups(_ name: [UInt8], _ accountName: [UInt8]) throws(Failure) {
        if !name.isEmpty {
            let number = Identity.number(name[...])
            let entry = Identity.line(in: "/etc/group", fields: 3) { fields in
                name.elementsEqual(fields[0]) || number != nil && Identity.number(fields[2]) == number
            }
            guard let group = entry.map({ Identity.number($0[2]) }) ?? number else {
                throw Failure(.configuration, "unable to find group \(name: name): no matching entries in group file")
            }
            self.group = group
            groups = [group]
            return
        }
        groups = [group]
        if accountName.isEmpty { return }
        var found: [UInt32] = []
        _ = Identity.line(in: "/etc/group", fields: 4) { fields in
            let isMember = fields[3].split(separator: 0x2C).contains { $0.elementsEqual(accountName) }
            if isMember, let number = Identity.number(fields[2]) { found.append(number) }
            return false
        }
        for number in found where !groups.contains(number) { groups.append(number) }
    }

    /// The first line for which `isWanted` says so, split at colons into at least `count` fields.
    private static func line(in path: CPath, fields count: Int, where isWanted: ([ArraySlice<UInt8>]) -> Bool) -> [ArraySlice<UInt8>]? {
        guard let text = try? InputOutput.contents(of: path, atMost: 16 << 20) else { return nil }
        for line in text.split(separator: 0x0A) {
            let fields = line.split(separator: 0x3A, omittingEmptySubsequences: false)
            if fields.count >= count, line.first != 0x23, isWanted(fields) { return fields }
        }
        return nil
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
