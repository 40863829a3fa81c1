// The parts of the VMM that need no virtual machine.
import Testing

@testable import VMM

@Test func timelineKeepsTheFirstOfEachPhaseAndPrintsThemInOrder() {
    let timeline = Timeline(launched: 1000)
    timeline.mark(.kvmReady, at: 3000)
    timeline.mark(.vmmStarted, at: 2000)
    timeline.countExit()
    timeline.markGuest(1)
    timeline.markGuest(1)
    timeline.markGuest(77)
    timeline.mark(.vmmStarted, at: 2500)
    #expect(timeline.recorded.count == 4)
    let json = timeline.json
    #expect(json.contains(#"{"phase": "launched", "at": 0, "since_previous": 0, "vm_exits": 0}"#))
    #expect(json.contains(#"{"phase": "vmm-started", "at": 1000, "since_previous": 1000, "vm_exits": 0}"#))
    #expect(json.contains(#"{"phase": "kvm-ready", "at": 2000, "since_previous": 1000, "vm_exits": 0}"#))
    #expect(timeline.recorded.last { $0.phase == .initStarted }?.exits == 1)
}

@Test func kernelLogFindsThePanicAndKeepsABoundedTail() {
    let log = KernelLog(echo: false)
    for index in 0..<1000 { for byte in "line \(index)\r\n".utf8 { log.receive(byte) } }
    for byte in "[    1.5] Kernel panic - not syncing: no \u{1B}[31minit\n---[ end".utf8 { log.receive(byte) }
    #expect(log.panic == "Kernel panic - not syncing: no ?[31minit")
    #expect(log.lastLines.count == 97)
    #expect(log.lastLines.last == "---[ end")
}

@Test(arguments: ["Fatal exception", "Fatal exception in interrupt"]) func kernelLogSaysWhichOopsWasFatal(reason: String) {
    let log = KernelLog(echo: false)
    for line in [
        "Oops: invalid opcode: 0000 [#1] SMP", "RIP: 0010:serve+0x0/0x10", "Code: 0f 0b", "RSP: 0018:ffffc90000013d88 EFLAGS: 00010246",
        "Kernel panic - not syncing: \(reason)",
        "Kernel Offset: disabled",
    ] {
        for byte in "[    1.5] \(line)\n".utf8 { log.receive(byte) }
    }
    #expect(
        log.panic == "Kernel panic - not syncing: \(reason) (Oops: invalid opcode: 0000 [#1] SMP, RIP: 0010:serve+0x0/0x10, EFLAGS: 00010246)")
}

@Test func kernelLogCutsALineThatNeverEnds() {
    let log = KernelLog(echo: false)
    for _ in 0..<100_000 { log.receive(0x41) }
    #expect(log.lastLines.first?.count == 256)
    #expect(log.panic == nil)
}

@Test func timelineInWords() {
    let timeline = Timeline(launched: 1000)
    timeline.mark(.kvmReady, at: 12_346_000)
    timeline.countExit()
    timeline.mark(.exit, at: 2_012_346_000)
    #expect(
        timeline.summary == """
               at (ms)     + (ms)  phase               VM exits
                 0.000      0.000  launched            0
                12.345     12.345  kvm-ready           0
              2012.345   2000.000  exit                1

            """)
}
