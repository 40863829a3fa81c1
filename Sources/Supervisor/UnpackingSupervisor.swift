// Layers into disk images: asks the agent for one layer after another, and writes down the disk's map where a part ends.
//
//   waiting ──hello──▶ unpacking(0) ──layerUnpacked──▶ unpacking(1) ── … ──layerUnpacked──▶ ended(0)
//      │                   │
//      └───────────────────┴──── failed, machine ended, agent or starter gone ────▶ ended(125)
import AgentProtocol
import Glibc
public import LaunchConfiguration
import LinuxSystem
public import VMM
import Wire

public final class UnpackingSupervisor {
    private enum State {
        case waiting
        case unpacking(step: Int)
        case ended(status: Int32)
    }

    /// The disk that the layers are unpacked onto comes first.
    private static let disk = 0

    private let configuration: UnpackingConfiguration
    private let machine: MicroVM
    private var control: ControlChannel?
    private var state = State.waiting

    public init(_ configuration: UnpackingConfiguration, machine: MicroVM) {
        self.configuration = configuration
        self.machine = machine
    }

    /// Runs the machine until the last layer is on the disk; returns the exit status. Errors are printed here.
    public func run() -> Int32 {
        do {
            control = try ControlChannel.exposed(
                by: machine, received: { [unowned self] in receive($0) }, failed: { [unowned self] in fail("\($0)") })
            try machine.start(outputs: [STDERR_FILENO])
            let reason = try machine.run()
            if case .ended(let status) = state { return status }
            printError("swiftlet: the image can't be unpacked: " + (reason == .lostDisk ? lost : machine.explain(reason)))
        } catch { printError("swiftlet: \(error)") }
        return Supervisor.ownFailure
    }

    private func receive(_ message: AgentMessage) {
        switch (message, state) {
        case (.hello(AgentProtocol.version), .waiting): unpack(step: 0)
        case (.hello(let version), .waiting):
            fail("the initrd's agent speaks protocol \(version), not \(AgentProtocol.version): rebuild the initrd")
        case (.layerUnpacked, .unpacking(let step)): finish(step)
        case (.failed(_, _, let text), .waiting), (.failed(_, _, let text), .unpacking):
            fail(machine.hostFailure.isEmpty ? text.string : lost)
        default: fail("the guest's agent sent a message out of turn")
        }
    }

    private func unpack(step: Int) {
        guard step < configuration.steps.count else { return end(status: 0) }
        state = .unpacking(step: step)
        control?.send(configuration.steps[step].frame)
    }

    /// The guest has unmounted the disk. If it lied, or still writes, only its own image is wrong: what it writes from now on belongs to the next layer.
    private func finish(_ step: Int) {
        guard let map = configuration.steps[step].map else { return unpack(step: step + 1) }
        guard let runs = machine.seal(disk: UnpackingSupervisor.disk) else {
            return machine.hostFailure.isEmpty ? fail("unpacked, it is too scattered to be described") : fail(lost)
        }
        do throws(SystemError) {
            try writeAt(map, offset: 0, DiskMap.encode(runs))
        } catch { return fail("the unpacked image's map can't be written: \(error)") }
        unpack(step: step + 1)
    }

    private var lost: String { "it can't be stored\(machine.hostFailure); make room there, or set SWIFTLET_STORE to a directory that has some" }

    private func fail(_ text: String) {
        if case .ended = state { return }
        printError("swiftlet: the image can't be unpacked: \(text)")
        end(status: Supervisor.ownFailure)
    }

    private func end(status: Int32) {
        state = .ended(status: status)
        machine.eventLoop.stop()
    }
}
