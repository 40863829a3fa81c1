// The machine's virtio devices in their order: disks (vda, vdb, …), vsock, entropy, console.
import AddressSpace
import KVM
import LaunchConfiguration
import LinuxSystem
import Machine

final class DeviceSet {
    let registers = Bus()

    init(_ configuration: MachineConfiguration, memory: GuestMemory, machine: VirtualMachine) throws {
        _ = configuration
    }
    func commandLine(_ level: LogLevel) -> [UInt8] { Array("console=ttyS0 earlyprintk=serial,0x3f8,115200,keep reboot=k panic=-1".utf8) }
    func expose(port: UInt32, socket: consuming OwnedDescriptor) {}
    func disconnect() {}
    func watch(on loop: EventLoop) throws {}
    var hostFailure: String { "" }
}
