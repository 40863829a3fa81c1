// `swiftlet ps`: the processes of the host that a container is: one. What runs in its machine is nobody's business outside.
import Glibc
import LinuxSystem
import OCI
import Wire

enum ListProcesses {
    /// `arguments`: for ps(1), which makes the table.
    static func text(_ directory: ContainerDirectory, _ options: [ParsedOption<RuntimeOption>], _ arguments: [Text]) throws(ContainerError) -> String
    {
        let format = options.last { $0.key == .format }?.value?.string ?? "table"
        guard ["table", "json"].contains(format) else {
            throw RuntimeOption.parser(.ps).usage("the option --format has the value \"\(format)\": it is table or json")
        }
        let record = try directory.requireRecord()
        let processes = directory.status(of: record) == .stopped ? [] : [record.process]
        if format == "json" { return try JSONText.line(.array(processes.map { .integer(Int64($0)) })) }
        let lines = try table(arguments.isEmpty ? ["-ef"] : arguments.map(\.string))
        guard let header = lines.first, let column = header.split(separator: " ").firstIndex(of: "PID") else {
            throw .container("ps shows no column PID: leave out what hides it")
        }
        let shown = lines.dropFirst().filter { line in
            let fields = line.split(separator: " ")
            return fields.indices.contains(column) && processes.contains { "\($0)" == fields[column] }
        }
        return ([header] + shown).joined(separator: "\n") + "\n"
    }

    private static func table(_ arguments: [String]) throws(ContainerError) -> [Substring] {
        do throws(SystemError) {
            let output = try OwnedDescriptor.memory(named: "swiftlet-ps")
            let status = try ChildProcess("/bin/ps", ["ps"] + arguments, descriptor: output.raw, as: STDOUT_FILENO).wait()
            let text = String(decoding: try readAt(output.raw, offset: 0, count: 16 << 20), as: UTF8.self)
            guard status == 0 else { return [] }
            return text.split(separator: "\n")
        } catch { throw .file(what: "ps(1)", error, remedy: "install procps, or give --format json") }
    }
}
