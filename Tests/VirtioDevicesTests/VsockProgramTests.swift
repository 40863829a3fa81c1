// Connections of programs by names in the file system: PATH_PORT, and "CONNECT PORT\n" on PATH.
import AddressSpace
import DeviceTesting
import Glibc
import LinuxSystem
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

/// A guest whose host listens at a name in a directory of its own.
private final class Programs {
    let guest: VsockGuest
    let directory: String
    var path: String { directory + "/vm.sock" }

    init() throws {
        directory = "/tmp/vsock-test-\(getpid())-\(UInt64.random(in: .min ... .max))"
        let made = unsafe mkdir(directory, 0o700) == 0
        guest = try VsockGuest()
        #expect(made)
        try guest.host.listen(at: path)
    }

    deinit {
        for name in ["/vm.sock", "/vm.sock_70", ""] { unsafe remove(directory + name) }
    }

    func dial(_ line: String) throws -> SocketEnd {
        let socket = SocketEnd(try UnixSocket.connect(to: path))
        socket.writeNow(Array(line.utf8))
        return socket
    }
}

@Test func aProgramConnectsToAGuestsPort() throws {
    let programs = try Programs()
    let guest = programs.guest
    let socket = try programs.dial("CONNECT 80\nearly")
    let request = try #require(try guest.receive().first?.header)
    #expect(request.operation == Operation.request)
    #expect(request.destinationPort == 80)
    #expect(socket.readNow() == [])
    try guest.send(Packet(Operation.response, host: request.sourcePort, guest: 80))
    #expect(socket.readNow() == Array("OK \(request.sourcePort)\n".utf8))
    #expect(try guest.receive().payload == Array("early".utf8))
    try guest.send(Packet(Operation.data, host: request.sourcePort, guest: 80), [1])
    #expect(socket.readNow() == [1])
}

@Test func aLineInPiecesIsOneLine() throws {
    let programs = try Programs()
    let socket = try programs.dial("CONN")
    try programs.guest.driver.settle()
    socket.writeNow(Array("ECT 81\n".utf8))
    #expect(try programs.guest.receive().first?.header.destinationPort == 81)
}

@Test func aPortThatTheGuestRefusesClosesTheProgramsSocket() throws {
    let programs = try Programs()
    let socket = try programs.dial("CONNECT 80\n")
    let request = try #require(try programs.guest.receive().first?.header)
    try programs.guest.send(Packet(Operation.reset, host: request.sourcePort, guest: 80))
    #expect(socket.readNow() == nil)
}

@Test(arguments: [
    "\n", "CONNECT\n", "CONNECT \n", "CONNECT -1\n", "CONNECT 80 \n", "CONNECT 4294967296\n", "CONNECT 99999999999\n", "connect 80\n",
    "CONNECT 80\r\n", "CONNECT 00000000000000000000000000000080\n", String(repeating: "x", count: 40),
])
func aLineThatIsNoCommandIsTurnedAway(line: String) throws {
    let programs = try Programs()
    let socket = try programs.dial(line)
    #expect(try programs.guest.receive().isEmpty)
    let answer = socket.readNow()
    // Bytes that nobody read make the end a reset.
    #expect(answer == nil || answer == [])
    #expect(socket.writeNow([1]) < 0)
}

@Test func aProgramThatGoesAwayLeavesNothingBehind() throws {
    let programs = try Programs()
    for _ in 0..<100 {
        _ = try programs.dial("CONNE")
        try programs.guest.driver.settle()
    }
    #expect(try programs.guest.driver.settle(limit: 3))
    #expect(programs.guest.metrics.opened == 0)
}

@Test func aGuestReachesTheListenerOfAPort() throws {
    let programs = try Programs()
    let listener = try UnixSocket.listen(at: programs.path + "_70")
    try programs.guest.send(Packet(Operation.request, host: 70))
    #expect(try programs.guest.receive().operations == [Operation.response])
    let socket = SocketEnd(OwnedDescriptor(owning: accept(listener.raw, nil, nil)))
    try programs.guest.send(Packet(Operation.data, host: 70), [42])
    #expect(socket.readNow() == [42])
    try programs.guest.send(Packet(Operation.request, host: 71))
    #expect(try programs.guest.receive().operations == [Operation.reset])
}
