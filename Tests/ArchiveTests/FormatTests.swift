// Archives as Debian's tar writes them, in every format that it knows.
import Archive
import Testing

private let formats = ["v7", "oldgnu", "gnu", "ustar", "posix"]

@Test(arguments: formats) func everyKindOfMemberIsRead(format: String) throws {
    let archive = try shell(
        """
        mkdir -m 1750 d; printf hello >d/f; chmod 4711 d/f; ln d/f d/hard; ln -s ../target d/soft; mkfifo d/pipe
        touch -d @981173106 d/f
        tar --format=\(format) --owner=root:1234 --group=grp:567 -cf - d/f d/hard d/soft \(format == "v7" ? "" : "d/pipe") -C . --no-recursion d
        """)

    let members = try readStream(archive)

    let byPath = Dictionary(uniqueKeysWithValues: members.map { ($0.path, $0) })
    let file = try #require(byPath["d/f"])
    #expect(file.entry.kind == .file)
    #expect(file.contents == Array("hello".utf8))
    #expect(file.entry.mode == 0o4711)
    #expect(file.entry.userID == 1234)
    #expect(file.entry.groupID == 567)
    #expect(file.entry.modified == ArchiveTime(seconds: 981_173_106, nanoseconds: 0))
    #expect(byPath["d/hard"]?.entry.kind == .hardLink)
    #expect(byPath["d/hard"]?.entry.linkTarget == Array("d/f".utf8))
    #expect(byPath["d/soft"]?.entry.linkTarget == Array("../target".utf8))
    #expect(byPath["d/"]?.entry.kind == .directory)
    #expect(byPath["d/"]?.entry.mode == 0o1750)
    #expect(format == "v7" || byPath["d/pipe"]?.entry.kind == .fifo)
}

@Test(arguments: ["gnu", "posix"]) func longNamesAndTargetsAreRead(format: String) throws {
    let long = String(repeating: "long-", count: 40)
    let archive = try shell(
        "mkdir -p \(long)/\(long); echo x >\(long)/\(long)/f; ln -s \(long)\(long) l; tar --format=\(format) -cf - \(long)/\(long)/f l")

    let members = try readStream(archive)

    #expect(members.map(\.path) == ["\(long)/\(long)/f", "l"])
    #expect(members[0].contents == Array("x\n".utf8))
    #expect(members[1].entry.linkTarget == Array((long + long).utf8))
}

@Test func aNameInTwoFieldsIsJoined() throws {
    let part = String(repeating: "p", count: 90)
    let archive = try shell("mkdir -p \(part); echo x >\(part)/\(part); tar --format=ustar -cf - \(part)/\(part)")
    #expect(try readStream(archive).map(\.path) == ["\(part)/\(part)"])
}

@Test(arguments: ["gnu", "posix"], [0, 3, 60]) func sparseFilesAreRestored(format: String, holes: Int) throws {
    try expectSparse("--format=\(format)", holes: holes)
}

@Test(arguments: ["0.0", "0.1", "1.0"]) func everySparseFormatIsRestored(version: String) throws {
    try expectSparse("--format=posix --sparse-version=\(version)", holes: 40)
}

private func expectSparse(_ options: String, holes: Int) throws {
    let make = "truncate -s 3M f; for n in $(seq \(holes)); do printf %05d $n | dd of=f bs=1 seek=$((n * 40960)) conv=notrunc status=none; done"
    let archive = try shell("\(make); tar --sparse --hole-detection=raw \(options) -cf - f")
    let original = try shell("\(make); cat f")

    let members = try readStream(archive, step: 1000)

    #expect(members.map(\.path) == ["f"])
    #expect(members[0].entry.size == 3 << 20)
    #expect(members[0].entry.storedSize < 1 << 20)
    #expect(members[0].contents == original)
}

@Test func paxKeepsNanosecondsAndTimesBeforeTheEpoch() throws {
    let archive = try shell("touch -d '1960-01-01 00:00:00.25 UTC' f; tar --format=posix -cf - f")
    #expect(try readStream(archive)[0].entry.modified == ArchiveTime(seconds: -315_619_200, nanoseconds: 250_000_000))
}

@Test func base256NumbersAreRead() throws {
    let archive = try shell("touch -d '1960-01-01 00:00:00 UTC' f; tar --format=gnu --owner=big:3000000000 -cf - f")
    let entry = try readStream(archive)[0].entry
    #expect(entry.userID == 3_000_000_000)
    #expect(entry.modified == ArchiveTime(seconds: -315_619_200, nanoseconds: 0))
}

@Test(arguments: formats) func headersAloneGiveTheSameMembers(format: String) throws {
    let archive = try shell("for n in 1 2 3; do head -c $((n * 700)) /dev/zero >f$n; done; tar --format=\(format) -cf - f1 f2 f3")
    let streamed = try readStream(archive)
    #expect(try readHeaders(archive) == streamed.map(\.entry))
    #expect(streamed.map { Int($0.entry.dataOffset) % 512 } == [0, 0, 0])
}

@Test func singleBytesGiveTheSameMembers() throws {
    let archive = try shell("echo a >a; mkdir d; ln -s x l; tar --format=posix --blocking-factor=1 -cf - a d l")
    let whole = try readStream(archive)
    #expect(try readStream(archive, step: 1).map(\.entry) == whole.map(\.entry))
}

@Test func extendedAttributesAreRead() throws {
    let archive = Block.pax([("SCHILY.xattr.user.note", "a=b"), ("mtime", "5.5"), ("uid", "70000")]).bytes + Block(data: [1, 2]).bytes
    let entry = try readStream(archive)[0].entry
    #expect(entry.attributes == [ArchiveAttribute(name: Array("user.note".utf8), value: Array("a=b".utf8))])
    #expect(entry.modified == ArchiveTime(seconds: 5, nanoseconds: 500_000_000))
    #expect(entry.userID == 70000)
}

@Test func globalHeadersAndVolumeLabelsAreNoMembers() throws {
    let label = Block(name: "label", type: UInt8(ascii: "V")).bytes
    let global = Block(name: "g", type: UInt8(ascii: "g"), data: Array("13 comment=x\n".utf8)).bytes
    #expect(try readStream(label + global + Block().bytes).map(\.path) == ["file"])
}

@Test func extensionsHoldForOneMemberOnly() throws {
    let archive = Block.pax([("path", "renamed")]).bytes + Block().bytes + Block(name: "plain").bytes
    #expect(try readStream(archive).map(\.path) == ["renamed", "plain"])
}
