// What extension headers say about the member that follows them: pax records (POSIX.1-2001) and GNU's long names.

/// Collected until the member's own header comes; then it starts afresh.
struct ArchiveExtensions {
    var path: [UInt8]?
    var linkPath: [UInt8]?
    var size: UInt64?
    var userID: UInt32?
    var groupID: UInt32?
    var modified: ArchiveTime?
    var attributes: [ArchiveAttribute] = []
    var sparse = SparseRecords()

    /// GNU.sparse.* (GNU tar manual, "PAX Format, Versions 0.0, 0.1 and 1.0").
    struct SparseRecords {
        var major: UInt64 = 0
        var realSize: UInt64?
        var name: [UInt8]?
        /// Of versions 0.0 and 0.1; version 1.0 has its map in front of the data.
        var numbers: [UInt64] = []
        var hasMap = false
    }

    /// `payload` is what a header of type x held.
    mutating func addRecords(_ payload: [UInt8]) throws(ArchiveError) {
        var index = 0
        while index < payload.count {
            guard let blank = payload[index...].firstIndex(of: 0x20) else {
                // Some writers pad with NULs.
                guard payload[index...].allSatisfy({ $0 == 0 }) else { throw .extendedHeader }
                return
            }
            guard blank - index <= 8, let length = try? ArchiveNumber.decimal(payload[index..<blank]) else { throw .extendedHeader }
            // Counted from the record's first byte, its own digits and the newline included.
            guard length <= UInt64(payload.count - index) else { throw .extendedHeader }
            let end = index + Int(length)
            guard blank + 1 < end, payload[end - 1] == 0x0A else { throw .extendedHeader }
            let record = payload[blank + 1..<end - 1]
            guard let equals = record.firstIndex(of: 0x3D), equals > record.startIndex else { throw .extendedHeader }
            try add(key: record[record.startIndex..<equals], value: record[(equals + 1)...])
            index = end
        }
    }

    private mutating func add(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>) throws(ArchiveError) {
        if key.is("path") {
            path = value.isEmpty ? nil : try ArchiveExtensions.name(value)
        } else if key.is("linkpath") {
            linkPath = value.isEmpty ? nil : try ArchiveExtensions.name(value)
        } else if key.is("size") {
            size = value.isEmpty ? nil : try ArchiveNumber.decimal(value)
        } else if key.is("uid") {
            userID = value.isEmpty ? nil : try ArchiveNumber.identifier(try ArchiveNumber.decimal(value))
        } else if key.is("gid") {
            groupID = value.isEmpty ? nil : try ArchiveNumber.identifier(try ArchiveNumber.decimal(value))
        } else if key.is("mtime") {
            modified = value.isEmpty ? nil : try ArchiveNumber.time(value)
        } else if let name = key.after("SCHILY.xattr.") {
            try setAttribute(Array(name), to: Array(value))
        } else if let name = key.after("GNU.sparse.") {
            try addSparse(name, value)
        }
    }

    private mutating func setAttribute(_ name: [UInt8], to value: [UInt8]) throws(ArchiveError) {
        guard !name.isEmpty, !name.contains(0) else { throw .extendedHeader }
        attributes.removeAll { $0.name == name }
        attributes.append(ArchiveAttribute(name: name, value: value))
    }

    private mutating func addSparse(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) throws(ArchiveError) {
        if name.is("major") {
            sparse.major = try ArchiveNumber.decimal(value)
        } else if name.is("name") {
            sparse.name = try ArchiveExtensions.name(value)
        } else if name.is("realsize") || name.is("size") {
            sparse.realSize = try ArchiveNumber.decimal(value)
        } else if name.is("offset") || name.is("numbytes") {
            sparse.hasMap = true
            sparse.numbers.append(try ArchiveNumber.decimal(value))
        } else if name.is("map") {
            sparse.hasMap = true
            sparse.numbers = []
            for number in value.split(separator: 0x2C) { sparse.numbers.append(try ArchiveNumber.decimal(number)) }
        } else if name.is("numblocks") {
            sparse.hasMap = true
        }
    }

    static func name(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> [UInt8] {
        guard !bytes.isEmpty, !bytes.contains(0) else { throw .name }
        return Array(bytes)
    }
}

extension ArraySlice<UInt8> {
    func `is`(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && after(text) != nil
    }

    /// What follows `prefix`, or nil where the slice doesn't begin so.
    func after(_ prefix: StaticString) -> ArraySlice<UInt8>? {
        let length = prefix.utf8CodeUnitCount
        guard count >= length else { return nil }
        for position in 0..<length {
            // SAFETY: a static string has utf8CodeUnitCount bytes at utf8Start, for ever.
            guard unsafe self[startIndex + position] == prefix.utf8Start[position] else { return nil }
        }
        return self[(startIndex + length)...]
    }
}
