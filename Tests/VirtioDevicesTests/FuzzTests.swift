// Every device against a driver that does anything in any order, from a seed (DeviceTesting/Attack.swift says what must hold).
import DeviceTesting
import Testing
import VirtioTesting

@Test(arguments: VictimKind.allCases, FuzzBudget.seeds) func anythingInAnyOrder(kind: VictimKind, seed: UInt64) throws {
    var attack = Attack(try Victim(kind), SeededChoices(seed: seed))
    let clock = ContinuousClock()
    let end = clock.now + FuzzBudget.duration
    var steps = 0
    while clock.now < end {
        try attack.step()
        steps += 1
        if steps % 64 == 0 { try attack.check() }
    }
    try attack.check()
}
