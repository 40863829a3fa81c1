// Every system call that a device makes through `systemCall` fails once, with each errno of a kind: the device is refused, or asks for a reset, or goes on; and after a reset it works.
import DeviceTesting
import Glibc
import LinuxSystem
import Testing
import VirtioTesting

private let errnos = [EIO, ENOMEM, EMFILE, EAGAIN, EPERM, ENOSPC]

@Test(arguments: VictimKind.allCases, errnos) func aFailingCallRefusesTheDevice(kind: VictimKind, errno: Int32) throws {
    var number = 1
    while HostFailure.strike(
        number, errno: errno,
        during: {
            do { _ = try Victim(kind) } catch {
                #expect((error as? SystemError)?.errno == errno, "call \(number): \(error)")
            }
        })
    {
        number += 1
        try #require(number < 1000)
    }
    #expect(number > 3)
}

@Test(arguments: VictimKind.allCases, errnos) func aFailingCallIsForgottenAfterAReset(kind: VictimKind, errno: Int32) throws {
    let victim = try Victim(kind)
    var number = 1
    // What the test itself asks of the system fails too: it throws then, and the device is in the middle of something.
    while HostFailure.strike(number, errno: errno, during: { _ = try? victim.works() }) {
        #expect(try victim.works(), "after call \(number)")
        number += 1
        try #require(number < 1000)
    }
}
