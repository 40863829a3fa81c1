// `swiftlet update`: other limits for a container that is there. What of them is the guest's to keep (memory, processes) its agent is told; the others are the VMM's cgroup's.
import AgentProtocol
import Glibc
import Jail
import LaunchConfiguration
import LinuxSystem
import OCI
import Wire

enum UpdateContainer {
    static func run(_ directory: ContainerDirectory, _ options: [ParsedOption<RuntimeOption>]) throws(ContainerError) {
        let resources = try resources(options)
        if let refusal = resources.refusals.first { throw .container("\(refusal.path)\(refusal.problem)") }
        try directory.lock()
        let record = try directory.requireRecord()
        guard directory.status(of: record) != .stopped else { throw .container("container not running") }
        try limitGuest(resources, directory, record)
        var limits = CgroupLimits()
        resources.apply(to: &limits)
        if let quota = resources.quota, quota < 0 { limits.processorTime = .max }
        guard limits != CgroupLimits() else { return }
        guard let cgroup = record.cgroup else { throw .container("a container without a cgroup of its own has no limits: run as root") }
        if let unit = record.systemdUnit { try SystemdScope.set(limits, of: unit) }
        do throws(JailError) { try Cgroup.apply(limits, at: cgroup) } catch { throw .jail(error) }
    }

    /// Zero and what isn't named stay as they are; less than zero is no limit.
    private static func limitGuest(_ resources: RuntimeResources, _ directory: ContainerDirectory, _ record: ContainerRecord) throws(ContainerError) {
        let memory = resources.memory ?? 0
        let processes = resources.processes ?? 0
        if memory == 0 && processes == 0 { return }
        guard memory < 0 || UInt64(memory) <= record.memory else {
            throw .container(
                "the machine of the container has \(record.memory >> 20) MiB of memory and gets no more while it runs, so a limit of \(memory >> 20) MiB cannot be: "
                    + "make the container anew, with --memory \(memory >> 20)m")
        }
        // What isn't named stays as it was.
        let now = try statistics(directory)
        try directory.request(
            .limit(
                memory: memory == 0 ? now.memoryLimit : UInt64(max(0, memory)),
                processes: UInt32(clamping: processes == 0 ? Int64(clamping: now.processLimit) : max(0, processes))))
    }

    // MARK: What is asked for

    private static func resources(_ options: [ParsedOption<RuntimeOption>]) throws(ContainerError) -> RuntimeResources {
        var resources = RuntimeResources()
        if let path = options.last(where: { $0.key == .resources })?.value { resources = try read(path) }
        for option in options {
            let text = option.value?.string ?? ""
            switch option.key {
            case .blockWeight: resources.diskWeight = try number(option)
            case .processorPeriod: resources.period = try number(option)
            case .processorQuota: resources.quota = try signed(option)
            case .processorShare: resources.shares = try number(option)
            case .processors: resources.processors = text
            case .memoryNodes: resources.memoryNodes = text
            case .memory: resources.memory = try size(option)
            case .memoryReservation: resources.memoryReservation = try size(option)
            case .processLimit: resources.processes = try signed(option)
            default: break
            }
        }
        return resources
    }

    private static func read(_ path: Text) throws(ContainerError) -> RuntimeResources {
        let isInput = path == "-"
        let bytes: [UInt8]
        do throws(SystemError) {
            let file = try isInput ? OwnedDescriptor.duplicate(of: STDIN_FILENO) : OwnedDescriptor.open(path: path.bytes, O_RDONLY)
            bytes = try readAll(file.raw, limit: Int(JSONDocument.sizeLimit) + 1)
        } catch { throw .file(what: "the resources", error, remedy: "check --resources") }
        guard bytes.count <= Int(JSONDocument.sizeLimit) else { throw .container("the resources exceed 4 MiB: check --resources") }
        do throws(OCIError) { return try RuntimeResources(json: bytes, name: isInput ? "the resources" : path.string) } catch {
            throw .container(error.description)
        }
    }

    private static func wrong(_ option: ParsedOption<RuntimeOption>, _ wanted: String) -> ContainerError {
        RuntimeOption.parser(.update).usage("the option \(option.spelling) has the value \"\(option.value?.string ?? "")\": it is \(wanted)")
    }

    private static func number(_ option: ParsedOption<RuntimeOption>) throws(ContainerError) -> UInt64 {
        guard let number = UInt64(option.value?.string ?? "") else { throw wrong(option, "a number") }
        return number
    }

    private static func signed(_ option: ParsedOption<RuntimeOption>) throws(ContainerError) -> Int64 {
        guard let number = Int64(option.value?.string ?? "") else { throw wrong(option, "a number, or -1 for no limit") }
        return number
    }

    private static func size(_ option: ParsedOption<RuntimeOption>) throws(ContainerError) -> Int64 {
        let text = option.value?.string ?? ""
        if text == "-1" { return -1 }
        guard let size = Quantities.size(text) else { throw wrong(option, "a size like 512m, or -1 for no limit") }
        return Int64(clamping: size)
    }

    // MARK: Use

    static func statistics(_ directory: ContainerDirectory) throws(ContainerError) -> ContainerStatistics {
        guard case .statistics(let bytes) = try directory.ask(.examine), let statistics = try? ContainerStatistics(wireBytes: bytes) else {
            throw .container("container not running")
        }
        return statistics
    }
}
